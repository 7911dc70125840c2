/** Identifies a process, so that another can tell later whether it still runs. */

import { readdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { readProcStat } from '../../process/proc-stat.ts'

export type ProcessIdentity = {
  /** Host name, or that of the container, so that pids are compared within one only. */
  host: string
  pid: number
  /** Clock ticks from boot to its start; detects a reused pid. Null where unknown. */
  startedAtTicks: string | null
}

export function thisProcess(): ProcessIdentity {
  return { host: hostname(), pid: process.pid, startedAtTicks: startTicks(process.pid) }
}

/** On the same host only. When unsure whether the pid was reused, it counts as alive. */
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
 * Whether it has ended and the parent has not collected its exit status. Checks every thread: the
 * state of the process is that of its first thread, while another may still write.
 */
function isZombie(pid: number): boolean {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    return threads.every((thread) =>
      /^[ZX]/.test(readProcStat(`${pid}/task/${thread}`)?.state ?? ''),
    )
  } catch {
    return false
  }
}

const startTicks = (pid: number): string | null => readProcStat(pid)?.startTicks || null
