/** `npm start` whose npm is killed: what it started ends too, and in order. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PATIENCE } from '../support/patience.ts'

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

let folder: string
let npm: ChildProcess
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gateway-npm-'))
})
afterEach(async () => {
  npm.kill('SIGKILL')
  const { pid } = await latestClaim()
  if (typeof pid === 'number') process.kill(pid, 'SIGKILL')
  await rm(folder, { recursive: true })
})

/** Resolves when the gateway listens. */
async function npmStart(script: string): Promise<void> {
  await writeFile(join(folder, 'package.json'), JSON.stringify({ scripts: { start: script } }))
  const { PATH, HOME } = process.env
  npm = spawn('npm', ['start'], {
    cwd: folder,
    env: { PATH, HOME, PORT: '0', DATA_DIR: join(folder, 'data') },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  for await (const line of createInterface({ input: npm.stdout as NodeJS.ReadableStream })) {
    if (line.includes('"msg":"listening"')) break
  }
  npm.stdout?.resume()
}

/** The process that has the data folder; nothing of it once it has let go. */
async function latestClaim(): Promise<{ pid?: number }> {
  const claims = join(folder, 'data', 'gateway.lock')
  const [latest] = await readdir(claims).catch(() => [])
  const text = latest === undefined ? '' : await readFile(join(claims, latest), 'utf8')
  return text.startsWith('{') ? JSON.parse(text) : {}
}

const NODE = `"${process.execPath}" "${MAIN}"`

test.each([
  ['SIGKILL', NODE],
  ['SIGTERM', NODE],
  // The shell stays between the two.
  ['SIGKILL', `${NODE}; true`],
  ['SIGTERM', `${NODE}; true`],
] as const)('after %s to npm, which runs %s', { timeout: 180_000 }, async (signal, script) => {
  await npmStart(script)
  const { pid = 0 } = await latestClaim()
  expect(pid).toBeGreaterThan(0)
  const gone = once(npm, 'exit')
  npm.kill(signal)
  await gone
  // Released, not only left: it ended in order.
  await expect.poll(latestClaim, PATIENCE).toEqual({})
  await expect.poll(() => isThere(pid), PATIENCE).toBe(false)
})

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
