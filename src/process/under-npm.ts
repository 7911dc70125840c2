/** The npm that started this process, if one did: it does not always end with it. */

import { readFileSync } from 'node:fs'

const LOOK_EVERY_MS = 500

/** Whether a script of package.json runs this process. */
export const isUnderNpm = (): boolean => process.env.npm_lifecycle_event !== undefined

/**
 * Tells when npm was killed without a word to what it had started, or had only the shell in between
 * to tell, which ends and says nothing. Does not keep the process alive.
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

/** The parent, and npm behind it where the parent is npm's shell, which may outlive it. */
function ancestors(): string {
  const parent = process.ppid
  const stat = statOf(parent)
  return stat?.name === 'sh' ? `${parent} ${stat.parent}` : String(parent)
}

/** proc_pid_stat(5): the name stands in parentheses, and may hold some itself. */
function statOf(pid: number): { name: string; parent: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const [, name = '', parent = ''] = /\((.*)\) \S+ (\d+)/s.exec(stat) ?? []
    return { name, parent }
  } catch {
    return undefined
  }
}
