/** Watches the npm that started this process: this process may outlive it. */

import { readProcStat } from './proc-stat.ts'

const LOOK_EVERY_MS = 500

/** Whether a script of package.json runs this process. */
export const isUnderNpm = (): boolean => process.env.npm_lifecycle_event !== undefined

/**
 * Calls back when npm ends without a signal to this process: when it is killed, or when it signals
 * only the shell in between, which does not forward it. Does not keep the process alive.
 */
export function onNpmGone(tell: () => void): void {
  if (!isUnderNpm()) return
  const before = ancestors()
  const timer = setInterval(() => {
    if (ancestors() === before) return
    clearInterval(timer)
    tell()
  }, LOOK_EVERY_MS)
  timer.unref()
}

/** The parent, and its parent npm where the parent is npm's shell, which may outlive npm. */
function ancestors(): string {
  const parent = process.ppid
  const stat = readProcStat(parent)
  return stat?.name === 'sh' ? `${parent} ${stat.parent}` : String(parent)
}
