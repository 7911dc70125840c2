/** Runs a script on a disk that forgets, until the power is cut. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Loss } from './memory.ts'

const PRELOAD = new URL('preload.ts', import.meta.url).href

export type PowerCut = {
  /** Of the process; what happens elsewhere is not on the disk. */
  folder: string
  /** An empty folder, for what is left. */
  into: string
  /** So many things the process does to the folder before the cut. */
  operations: number
  /** Whether those before its first line count. */
  isCountedFromFirstLine: boolean
  loss: Loss
  seed: number
}

/** @returns what the script said before the power went. @throws Error when it ended otherwise. */
export async function runUntilCut(
  script: URL,
  args: readonly string[],
  cut: PowerCut,
): Promise<string[]> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--import', PRELOAD, script.pathname, ...args],
    {
      env: { ...process.env, FORGETFUL_DISK: JSON.stringify(cut) },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  const [code, signal] = await once(child, 'close')
  if (signal !== 'SIGKILL') throw new Error(`ended with ${code ?? signal} instead: ${errors}`)
  return lines
}
