/**
 * Room for the embedded database's write-ahead log. A full disk is an error of one statement where a
 * table should grow, but where the log cannot go on PostgreSQL stops for good, and in WebAssembly it
 * goes round in circles instead, with the whole process. So nothing is written when it is near.
 */

import { statfsSync } from 'node:fs'

/** A segment of the log, which is made whole, and what is written between two looks. */
const LEAST_FREE_BYTES = 24 * 1024 ** 2
const LOOK_EVERY_MS = 100

/** What is logged; a row that is locked as well. */
const WRITES = /\b(insert|update|delete|create|alter|drop|truncate)\b/i

export class LogSpace {
  readonly #folder: string | undefined
  #lookedAt = Number.NEGATIVE_INFINITY
  #isFull = false

  /** @param folder undefined for a database in memory. */
  constructor(folder: string | undefined) {
    this.#folder = folder
  }

  /** @throws NoSpace for a statement that may write, while the disk is nearly full. */
  demandFor(sql: string): void {
    if (this.#folder === undefined) return
    if (performance.now() - this.#lookedAt > LOOK_EVERY_MS) this.#look(this.#folder)
    if (this.#isFull && WRITES.test(sql)) throw new NoSpace()
  }

  #look(folder: string): void {
    this.#lookedAt = performance.now()
    const { bavail, bsize } = statfsSync(folder)
    this.#isFull = bavail * bsize < LEAST_FREE_BYTES
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
