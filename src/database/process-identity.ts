/** Which process this is, so that another can tell later whether it still runs. */

import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'

export type ProcessIdentity = {
  /** A container's own name inside a container, so that pids are compared within one only. */
  host: string
  pid: number
  /** Clock ticks from boot to its start; tells a reused pid apart. Null where unknown. */
  startedAtTicks: string | null
}

export function thisProcess(): ProcessIdentity {
  return { host: hostname(), pid: process.pid, startedAtTicks: startTicks(process.pid) }
}

/** On the same host only. Errs towards alive when a pid may have been reused but nothing shows it. */
export function isAlive({ pid, startedAtTicks }: ProcessIdentity): boolean {
  if (!exists(pid)) return false
  const ticks = startTicks(pid)
  return startedAtTicks === null || ticks === null || ticks === startedAtTicks
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Field 22 of /proc/<pid>/stat (proc_pid_stat(5)), counted after the name, which may hold spaces. */
function startTicks(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}
