/**
 * Locks a data folder for one process: the embedded database has no lock of its own, and two
 * processes in it silently lose each other's rows.
 *
 * Claims are numbered files in `gateway.lock/`, and the highest number counts. Each is made with
 * O_EXCL, so only one process can succeed a dead one. A number is never reused, so a process that
 * read the folder too early cannot take over from the successor either.
 */

import { unlinkSync, writeFileSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import { isAlive, type ProcessIdentity, thisProcess } from './process-identity.ts'

const HEARTBEAT_MS = 2_000
const RELEASED = 'released'
/** How long to wait for a holder that is just ending. */
const GOING_MS = 5_000
const GOING_LOOK_MS = 100

/**
 * Creates the folder if needed, with mode 0700, and claims it for this process. A claim ends with
 * the process, however that ends; nothing has to be cleaned up by hand.
 *
 * @param options.goingMs how long to wait for the holder to end.
 * @param options.silenceMs after this long without a heartbeat, a holder on another host is dead.
 * @throws AppError database_unavailable naming the process that holds the folder.
 */
export async function claimDataDir(
  path: string,
  { silenceMs = 10_000, goingMs = GOING_MS } = {},
): Promise<{ release(): Promise<void> }> {
  await makePrivate(path)
  const folder = join(path, 'gateway.lock')
  await makePrivate(folder)
  const until = performance.now() + goingMs
  for (;;) {
    const latest = await latestClaim(folder)
    const holder = latest > 0 ? await holderOf(join(folder, String(latest)), silenceMs) : undefined
    if (holder) {
      if (isThisProcess(holder) || performance.now() >= until) throw heldBy(holder, path)
      await sleep(GOING_LOOK_MS)
    } else if (await take(folder, latest + 1)) return hold(join(folder, String(latest + 1)))
  }
}

async function makePrivate(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  const { mode } = await stat(path)
  // A mounted volume may have another owner; everything inside is private by itself.
  if (mode & 0o077) await chmod(path, 0o700).catch(() => {})
}

async function latestClaim(folder: string): Promise<number> {
  const names = await readdir(folder)
  return Math.max(0, ...names.map(Number).filter(Number.isSafeInteger))
}

/** Undefined when no live process holds it. */
async function holderOf(file: string, silenceMs: number): Promise<ProcessIdentity | undefined> {
  const holder = await readClaim(file)
  return holder && (await isHeld(file, holder, silenceMs)) ? holder : undefined
}

function heldBy({ host, pid }: ProcessIdentity, path: string): AppError {
  const where = host === thisProcess().host ? '' : ` on ${host}`
  return new AppError(
    'database_unavailable',
    `The data folder ${path} is used by process ${pid}${where}. Stop it first, or set DATA_DIR to another folder.`,
    { retryable: false, details: { held_by: pid } },
  )
}

/** Undefined when it was released, removed by a successor, or never completely written. */
async function readClaim(file: string): Promise<ProcessIdentity | undefined> {
  for (let tries = 0; tries < 10; tries++) {
    const text = await readFile(file, 'utf8').catch(() => RELEASED)
    if (text === RELEASED) return undefined
    if (text.endsWith('\n')) return JSON.parse(text) as ProcessIdentity
    await sleep(50)
  }
  return undefined
}

function isThisProcess({ host, pid }: ProcessIdentity): boolean {
  const own = thisProcess()
  return host === own.host && pid === own.pid
}

async function isHeld(file: string, holder: ProcessIdentity, silenceMs: number): Promise<boolean> {
  if (holder.host === thisProcess().host) return isAlive(holder)
  // Process ids of another host or container mean nothing here: watch for its heartbeat.
  const before = await modifiedAt(file)
  for (let waited = 0; waited < silenceMs; waited += 500) {
    await sleep(500)
    if ((await modifiedAt(file)) !== before) return (await readClaim(file)) !== undefined
  }
  return false
}

async function modifiedAt(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.mtimeMs ?? 0
}

/** False when another process was faster. */
async function take(folder: string, number: number): Promise<boolean> {
  const file = join(folder, String(number))
  try {
    writeFileSync(file, `${JSON.stringify(thisProcess())}\n`, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
  // A slow process may create a number that was succeeded and removed since it read the folder.
  if ((await latestClaim(folder)) > number) {
    unlinkSync(file)
    return false
  }
  const older = (await readdir(folder)).filter((name) => Number(name) < number)
  await Promise.all(older.map((name) => rm(join(folder, name), { force: true })))
  return true
}

function hold(file: string): { release(): Promise<void> } {
  const heartbeat = setInterval(() => {
    const now = new Date()
    utimes(file, now, now).catch(() => {})
  }, HEARTBEAT_MS)
  heartbeat.unref()
  return {
    async release() {
      clearInterval(heartbeat)
      // Kept, not removed: the next claim must get a higher number.
      await writeFile(file, RELEASED).catch(() => {})
    },
  }
}
