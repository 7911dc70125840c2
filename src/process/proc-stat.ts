/** What Linux says of a process or thread in /proc/PID/stat: see proc_pid_stat(5). */

import { readFileSync } from 'node:fs'

export type ProcStat = {
  name: string
  /** One letter: Z and X for one that has ended. */
  state: string
  parent: string
  /** Clock ticks from boot to its start. */
  startTicks: string
}

/**
 * @param process a pid; `PID/task/TID` for a thread.
 * @returns undefined when there is none, and on systems without /proc.
 */
export function readProcStat(process: number | string): ProcStat | undefined {
  try {
    return parseProcStat(readFileSync(`/proc/${process}/stat`, 'latin1'))
  } catch {
    return undefined
  }
}

/** The name is in parentheses, and may hold spaces and parentheses; what follows it may not. */
export function parseProcStat(stat: string): ProcStat {
  const end = stat.lastIndexOf(')')
  const name = stat.slice(stat.indexOf('(') + 1, end)
  const fields = stat.slice(end + 2).split(' ')
  const [state = '', parent = ''] = fields
  return { name, state, parent, startTicks: fields[19] ?? '' }
}
