/** Runs a TypeScript file of ours in a process of its own. */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

export type Child = {
  process: ChildProcessWithoutNullStreams
  /** Its standard output, line by line; ends when the process does. */
  lines: AsyncIterator<string>
  /** Its exit code, or the signal that ended it. */
  exit: Promise<number | string>
}

export function runChild(script: URL, ...args: string[]): Child {
  const child = spawn(process.execPath, ['--import', 'tsx', script.pathname, ...args])
  child.stderr.pipe(process.stderr)
  const exit = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
  return { process: child, lines: createInterface(child.stdout)[Symbol.asyncIterator](), exit }
}

/** @throws Error when the process ended without another line. */
export async function nextLine(child: Child): Promise<string> {
  const { value, done } = await child.lines.next()
  if (done) throw new Error('the process ended without an answer')
  return value
}
