/** Which process this is, so that another can tell later whether it still runs. */

import { readdirSync, readFileSync } from 'node:fs'
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
  if (!exists(pid) || isZombie(pid)) return false
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

/**
 * Ended, and only its parent has not asked how. Nothing of it may run any more: a process is one by
 * its first thread, while another may still be writing.
 */
function isZombie(pid: number): boolean {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    return threads.every((thread) => /^[ZX]/.test(fieldsOf(`${pid}/task/${thread}`)[0] ?? ''))
  } catch {
    return false
  }
}

/** Field 22. */
function startTicks(pid: number): string | null {
  try {
    return fieldsOf(String(pid))[19] ?? null
  } catch {
    return null
  }
}

/** From the third on: those after the name, which may hold spaces (proc_pid_stat(5)). */
function fieldsOf(process: string): string[] {
  const stat = readFileSync(`/proc/${process}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
