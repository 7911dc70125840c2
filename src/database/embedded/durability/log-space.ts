/**
 * Room for the embedded database's write-ahead log. A full disk is an error of one statement where a
 * table should grow, but where the log cannot go on PostgreSQL stops for good, and in WebAssembly it
 * goes round in circles instead, with the whole process. So nothing is written when it is near; for
 * a disk that another program fills at once there is a reserve, a file given up for the log; and
 * where that is not enough, or the disk is broken, its program is ended from outside.
 */

import { randomBytes } from 'node:crypto'
import { rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** A segment of the log, which is made whole, and what is written between two looks. */
const LEAST_FREE_BYTES = 24 * 1024 ** 2
const LOOK_EVERY_MS = 100

/** What is logged; a row that is locked as well. */
const WRITES = /\b(insert|update|delete|create|alter|drop|truncate)\b/i

export class LogSpace {
  readonly #folder: string
  readonly #reserve: string
  readonly #reserveBytes: number
  #hasReserve: boolean
  #lookedAt = Number.NEGATIVE_INFINITY
  #isFull = false
  #end: ProgramEnded | undefined

  /**
   * @param folder the database's; the reserve is made beside it.
   * @param segmentBytes of the log.
   */
  constructor(folder: string, segmentBytes: number) {
    this.#folder = folder
    this.#reserve = join(dirname(folder), 'reserve')
    this.#reserveBytes = 2 * segmentBytes
    this.#hasReserve =
      statSync(this.#reserve, { throwIfNoEntry: false })?.size === this.#reserveBytes
    this.#look()
  }

  /** Whether the disk is too full for anything to be written. */
  get isFull(): boolean {
    if (performance.now() - this.#lookedAt > LOOK_EVERY_MS) this.#look()
    return this.#isFull
  }

  /** @throws NoSpace for a statement that may write, while the disk is nearly full. */
  demandFor(sql: string): void {
    if (this.isFull && WRITES.test(sql)) throw new NoSpace()
  }

  /** What PostgreSQL's program was ended with; whatever it still says is a consequence. */
  get end(): Error | undefined {
    return this.#end
  }

  /** @throws ProgramEnded when it fails, but for want of space once: then the reserve is given up. */
  writeLog<T>(write: () => T): T {
    try {
      return write()
    } catch (error) {
      if (!isNoSpace(error) || !this.#hasReserve) throw this.#endWith(error)
      this.#giveUpReserve()
      return this.writeLog(write)
    }
  }

  /** @throws ProgramEnded when it fails: what the disk refused once may be lost, and not be refused again. */
  flush(flush: () => void): void {
    try {
      flush()
    } catch (error) {
      throw this.#endWith(error)
    }
  }

  #endWith(cause: unknown): ProgramEnded {
    this.#end ??= new ProgramEnded(cause)
    return this.#end
  }

  #giveUpReserve(): void {
    this.#hasReserve = false
    this.#isFull = true
    rmSync(this.#reserve, { force: true })
  }

  #look(): void {
    this.#lookedAt = performance.now()
    const { bavail, bsize } = statfsSync(this.#folder)
    const least = LEAST_FREE_BYTES + (this.#hasReserve ? 0 : this.#reserveBytes)
    this.#isFull = bavail * bsize < least || !this.#keepReserve()
  }

  #keepReserve(): boolean {
    try {
      // Not zeros, which some file systems do not store.
      if (!this.#hasReserve) writeFileSync(this.#reserve, randomBytes(this.#reserveBytes))
      this.#hasReserve = true
    } catch {
      rmSync(this.#reserve, { force: true })
    }
    return this.#hasReserve
  }
}

/** As PostgreSQL says it. */
class NoSpace extends Error {
  override readonly name = 'NoSpace'
  readonly code = '53100'
  readonly severity = 'ERROR'

  constructor() {
    super('The disk of the embedded database is nearly full.')
  }
}

/** Thrown through PostgreSQL's program, which cannot catch it, with the name of WebAssembly's traps. */
class ProgramEnded extends Error {
  override readonly name = 'RuntimeError'

  constructor(cause: unknown) {
    const why = isNoSpace(cause) ? 'No space left on device' : 'the disk refuses to be written'
    super(`The embedded database cannot go on: ${why}`, { cause })
  }
}

/** ENOSPC and EDQUOT: as Node names them, and as WASI numbers them. */
function isNoSpace(error: unknown): boolean {
  const { code, errno } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT' || errno === 51 || errno === 19
}
