import { accessSync, constants, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

const IN_MEMORY = '/dev/shm'

/** What a run needs at most, several times over: a container often has 64 MB. */
const ENOUGH_BYTES = 4 * 1024 ** 3

/**
 * For files that outlive no run: in memory where Linux offers enough of it, as an embedded database
 * writes 25 MB and flushes hundreds of files. TMPDIR, where it is set, is obeyed.
 */
export function scratchFolder(): string {
  return process.env.TMPDIR === undefined && isRoomy(IN_MEMORY) ? IN_MEMORY : tmpdir()
}

function isRoomy(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize >= ENOUGH_BYTES
  } catch {
    return false
  }
}
