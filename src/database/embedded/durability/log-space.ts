/**
 * Keeps disk space for the embedded database's write-ahead log. When a table cannot grow, one
 * statement fails; when the log cannot grow, PostgreSQL panics, and in WebAssembly it loops forever
 * and blocks the whole process. So writes are refused before the disk is full. A reserve file,
 * deleted to make room for the log, covers a disk that another program fills suddenly. When that is
 * not enough, or the disk is broken, PostgreSQL's program is ended from outside.
 */

import { randomBytes } from 'node:crypto'
import { rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** A log segment, which is allocated whole, plus what is written between two checks. */
const LEAST_FREE_BYTES = 24 * 1024 ** 2
const LOOK_EVERY_MS = 100

/** Statements that write to the log. */
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
   * @param folder of the database; the reserve is created next to it.
   * @param segmentBytes size of a log segment.
   */
  constructor(folder: string, segmentBytes: number) {
    this.#folder = folder
    this.#reserve = join(dirname(folder), 'reserve')
    this.#reserveBytes = 2 * segmentBytes
    this.#hasReserve =
      statSync(this.#reserve, { throwIfNoEntry: false })?.size === this.#reserveBytes
    this.#look()
  }

  /** Whether the disk is too full for writes. */
  get isFull(): boolean {
    if (performance.now() - this.#lookedAt > LOOK_EVERY_MS) this.#look()
    return this.#isFull
  }

  /** @throws NoSpace for a statement that may write, while the disk is nearly full. */
  demandFor(sql: string): void {
    if (this.isFull && WRITES.test(sql)) throw new NoSpace()
  }

  /** The error that ended PostgreSQL's program; all its later errors are consequences. */
  get end(): Error | undefined {
    return this.#end
  }

  /** On a full disk, deletes the reserve and retries once. @throws ProgramEnded when it fails. */
  writeLog<T>(write: () => T): T {
    try {
      return write()
    } catch (error) {
      if (!isNoSpace(error) || !this.#hasReserve) throw this.#endWith(error)
      this.#giveUpReserve()
      return this.writeLog(write)
    }
  }

  /** @throws ProgramEnded when it fails: the data may be lost although a retry would succeed. */
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
      // Random bytes: some file systems do not allocate zeros.
      if (!this.#hasReserve) writeFileSync(this.#reserve, randomBytes(this.#reserveBytes))
      this.#hasReserve = true
    } catch {
      rmSync(this.#reserve, { force: true })
    }
    return this.#hasReserve
  }
}

/** Has the SQLSTATE and severity of PostgreSQL's own error. */
class NoSpace extends Error {
  override readonly name = 'NoSpace'
  readonly code = '53100'
  readonly severity = 'ERROR'

  constructor() {
    super('The disk of the embedded database is nearly full.')
  }
}

/** Thrown through PostgreSQL's program, which cannot catch it; named like a WebAssembly trap. */
class ProgramEnded extends Error {
  override readonly name = 'RuntimeError'

  constructor(cause: unknown) {
    const why = isNoSpace(cause) ? 'No space left on device' : 'the disk refuses to be written'
    super(`The embedded database cannot go on: ${why}`, { cause })
  }
}

/** ENOSPC and EDQUOT, by Node's names and by WASI's numbers. */
function isNoSpace(error: unknown): boolean {
  const { code, errno } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT' || errno === 51 || errno === 19
}
