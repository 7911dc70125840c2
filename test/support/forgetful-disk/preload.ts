/**
 * Puts this process on a disk that forgets: it goes through what the process asks of node:fs, and at
 * the operation given it cuts the power, that is, it writes what is left into another folder and
 * kills the process. The last line on standard output is then `cut`, and when. For `node --import`.
 *
 * FORGETFUL_DISK is JSON: `{ folder, into, loss, seed, operations, isCountedFromFirstLine }`, the last
 * for operations after the first line on standard output.
 */

import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { DiskMemory, type Loss } from './memory.ts'

type Order = {
  folder: string
  into: string
  loss: Loss
  seed: number
  operations: number
  isCountedFromFirstLine: boolean
}

const { folder, into, loss, seed, operations, isCountedFromFirstLine } = JSON.parse(
  process.env.FORGETFUL_DISK ?? '',
) as Order
fs.mkdirSync(folder, { recursive: true })
const memory = new DiskMemory(folder)
/** Of the files below the folder that are open. */
const paths = new Map<number, string>()
let done = 0
let flushes = 0
let isCutting = false
let isCounting = !isCountedFromFirstLine

/** Every operation that changes something passes here before it happens. */
function tick(): void {
  if (!isCounting) return
  done += 1
  if (done < operations || isCutting) return
  isCutting = true
  fs.writeSync(1, `cut ${Date.now()}\n`)
  memory.writeRest(into, loss, random(seed))
  process.kill(process.pid, 'SIGKILL')
  // The signal may take a while; nothing may happen after the cut.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
}

/** mulberry32 */
function random(from: number): () => number {
  let state = from
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const isHeld = (path: unknown): path is string => typeof path === 'string' && memory.holds(path)

/** The content of an open file, or of a folder its names: what a flush that begins now will keep. */
function flushOf(path: string): () => void {
  if (!isStill(path)) return () => {}
  if (fs.statSync(path).isDirectory()) return () => memory.keepNames(path)
  const content = fs.readFileSync(path)
  const flush = ++flushes
  return () => isStill(path) && memory.keepContent(path, content, flush)
}

const isStill = (path: string) => fs.existsSync(path)

type Any = (...args: never[]) => unknown
const replace = <Target, Name extends keyof Target>(
  target: Target,
  name: Name,
  by: (original: Any) => Any,
) => {
  const original = (target[name] as Any).bind(target) as Any
  target[name] = by(original) as Target[Name]
}
type Call = (...args: unknown[]) => unknown

replace(process.stdout, 'write', (write) => (...args: unknown[]) => {
  isCounting = true
  return (write as Call)(...args)
})

// Which paths are open.
replace(fs, 'openSync', (open) => (path: unknown, ...rest: unknown[]) => {
  if (isHeld(path)) tick()
  const fd = (open as Call)(path, ...rest) as number
  if (isHeld(path)) paths.set(fd, path)
  return fd
})
replace(fs, 'closeSync', (close) => (fd: number) => {
  paths.delete(fd)
  return (close as Call)(fd)
})

// What is written.
for (const name of ['writeSync', 'ftruncateSync'] as const) {
  replace(fs, name, (change) => (fd: number, ...rest: unknown[]) => {
    if (paths.has(fd)) tick()
    return (change as Call)(fd, ...rest)
  })
}
for (const name of ['truncateSync', 'writeFileSync', 'mkdirSync'] as const) {
  replace(fs, name, (change) => (path: unknown, ...rest: unknown[]) => {
    if (isHeld(path)) tick()
    return (change as Call)(path, ...rest)
  })
}

// Which names come and go.
for (const name of ['unlinkSync', 'rmdirSync', 'rmSync'] as const) {
  replace(fs, name, (remove) => (path: unknown, ...rest: unknown[]) => {
    if (isHeld(path)) {
      tick()
      memory.forgetInode(path)
    }
    return (remove as Call)(path, ...rest)
  })
}
const follow = (from: string, to: string) => {
  tick()
  memory.forgetInode(to)
  for (const [fd, path] of paths) {
    if (path === from || path.startsWith(`${from}/`)) paths.set(fd, to + path.slice(from.length))
  }
}
replace(fs, 'renameSync', (rename) => (from: unknown, to: unknown) => {
  if (isHeld(from) && isHeld(to)) follow(from, to)
  return (rename as Call)(from, to)
})

// What is flushed, once the flush is done, as it was when it began.
for (const name of ['fsyncSync', 'fdatasyncSync'] as const) {
  replace(fs, name, (sync) => (fd: number) => {
    const path = paths.get(fd)
    if (path === undefined) return (sync as Call)(fd)
    tick()
    flushOf(path)()
  })
}
for (const name of ['fsync', 'fdatasync'] as const) {
  replace(fs, name, (sync) => (fd: number, done: (error: Error | null) => void) => {
    const path = paths.get(fd)
    if (path === undefined) return (sync as Call)(fd, done)
    tick()
    const keep = flushOf(path)
    setTimeout(() => {
      keep()
      done(null)
    }, 2)
  })
}

const { promises } = fs
for (const name of ['rm', 'unlink'] as const) {
  replace(promises, name, (remove) => async (path: unknown, ...rest: unknown[]) => {
    if (isHeld(path)) {
      tick()
      memory.forgetInode(path)
    }
    return (remove as Call)(path, ...rest)
  })
}
for (const name of ['mkdir', 'copyFile'] as const) {
  replace(promises, name, (change) => async (path: unknown, ...rest: unknown[]) => {
    if (isHeld(path) || isHeld(rest[0])) tick()
    return (change as Call)(path, ...rest)
  })
}
replace(promises, 'rename', (rename) => async (from: unknown, to: unknown) => {
  if (isHeld(from) && isHeld(to)) follow(from, to)
  return (rename as Call)(from, to)
})
replace(promises, 'writeFile', (write) => async (path: unknown, ...rest: unknown[]) => {
  if (!isHeld(path)) return (write as Call)(path, ...rest)
  tick()
  // Without the flush itself, which would only take time.
  const options = (rest[1] ?? {}) as { flush?: boolean }
  await (write as Call)(path, rest[0], { ...options, flush: false })
  if (options.flush) flushOf(path)()
})
replace(promises, 'open', (open) => async (path: unknown, ...rest: unknown[]) => {
  if (isHeld(path)) tick()
  const handle = (await (open as Call)(path, ...rest)) as fs.promises.FileHandle
  if (!isHeld(path)) return handle
  for (const name of ['write', 'writeFile', 'truncate'] as const) {
    replace(handle, name, (change) => async (...args: unknown[]) => {
      tick()
      return (change as Call)(...args)
    })
  }
  for (const name of ['sync', 'datasync'] as const) {
    replace(handle, name, () => async () => {
      tick()
      flushOf(path)()
    })
  }
  return handle
})
syncBuiltinESMExports()
