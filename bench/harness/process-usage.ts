/** What a process has used so far, from /proc: elsewhere than on Linux nothing is known. */

import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ, 100 on every Linux that Node.js runs on (proc(5)). */
const MICROS_PER_TICK = 10_000
const PAGE_BYTES = 4096

/** User and system time of a process, in microseconds. */
export function cpuMicros(pid: number): number | undefined {
  const fields = statOf(pid)
  return fields && ticks(fields, 13, 14) * MICROS_PER_TICK
}

/** Resident memory. */
export function rssBytes(pid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * PAGE_BYTES
  } catch {
    return undefined
  }
}

/** User and system time of a process and all its children, those that ended included. */
export function familyCpuMicros(pid: number): number | undefined {
  const parent = statOf(pid)
  if (!parent) return undefined
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)))
    .filter((fields) => fields?.[3] === String(pid))
  const own = ticks(parent, 13, 14, 15, 16)
  const theirs = children.reduce((sum, fields) => sum + (fields ? ticks(fields, 13, 14) : 0), 0)
  return (own + theirs) * MICROS_PER_TICK
}

/** The fields of /proc/pid/stat by their index; the command's own spaces do not shift them. */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const afterName = text.slice(text.lastIndexOf(')') + 2)
    return [String(pid), '', ...afterName.split(' ')]
  } catch {
    return undefined
  }
}

const ticks = (fields: string[], ...indexes: number[]) =>
  indexes.reduce((sum, index) => sum + Number(fields[index]), 0)

const SAMPLE_MS = 100

/** Samples the memory of a process. @returns the highest so far, when asked; which ends it. */
export function watchMemory(pid: number): { highest(): number } {
  let highest = 0
  const timer = setInterval(() => {
    highest = Math.max(highest, rssBytes(pid) ?? 0)
  }, SAMPLE_MS)
  return {
    highest(): number {
      clearInterval(timer)
      return Math.max(highest, rssBytes(pid) ?? 0)
    },
  }
}
