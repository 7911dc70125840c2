/** PGlite's single session behind a FIFO mutex. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PGlite } from '@electric-sql/pglite'
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely'
import { createSemaphore } from '../../concurrency/semaphore.ts'
import { isCrash, toDatabaseError } from '../errors.ts'
import { preparedName } from '../statements/prepared.ts'
import type { LogSpace } from './durability/log-space.ts'
import { PgliteStatements } from './statements.ts'

export type OneConnection = {
  /** Waits for the session in FIFO order. @throws AppError database_unavailable on timeout. */
  acquire(): Promise<DatabaseConnection>
  release(): void
  /** Whether PostgreSQL's program has ended: it answers no further query. */
  readonly hasCrashed: boolean
}

type Place = {
  /** Disk space of the database's files; undefined when it is in memory. */
  space?: LogSpace
  /** Called once with the reason when PostgreSQL's program ends. */
  onEnd?: ((error: unknown) => void) | undefined
}

export function oneConnection(
  pglite: PGlite,
  acquireTimeoutMs: number,
  place: Place = {},
): OneConnection {
  const connection = new PgliteConnection(pglite, place)
  const turns = createSemaphore({ places: 1, waitMs: acquireTimeoutMs, stallMs: acquireTimeoutMs })
  return {
    async acquire() {
      await turns.acquire()
      return connection
    },
    release: turns.release,
    get hasCrashed() {
      return connection.hasCrashed
    },
  }
}

class PgliteConnection implements DatabaseConnection {
  readonly #pglite: PGlite
  readonly #statements: PgliteStatements
  readonly #place: Place
  /** The error that PostgreSQL's program ended with. */
  #crash: unknown

  constructor(pglite: PGlite, place: Place) {
    this.#pglite = pglite
    this.#statements = new PgliteStatements(pglite)
    this.#place = place
  }

  get hasCrashed(): boolean {
    return this.#crash !== undefined
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    try {
      if (this.#crash !== undefined) throw this.#crash
      this.#place.space?.demandFor(query.sql)
      return await this.#run<R>(query)
    } catch (thrown) {
      const error = this.#place.space?.end ?? thrown
      if (isCrash(error)) this.#noteCrash(error)
      throw toDatabaseError(error)
    }
  }

  #noteCrash(error: unknown): void {
    if (this.#crash === undefined) this.#place.onEnd?.(error)
    this.#crash = error
  }

  async #run<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    // A query blocks the thread and resolves in microtasks: without this yield, a queue of queries
    // would delay sockets and timers until the last of them is done.
    await nextTurn()
    const name = preparedName(sql)
    if (name !== undefined) return { rows: await this.#statements.run<R>(name, sql, parameters) }
    const result = parameters.length
      ? await this.#pglite.query<R>(sql, [...parameters])
      : // exec() takes several statements, which query() refuses, in a fifth of the time.
        (await this.#pglite.exec(sql)).at(-1)
    return {
      rows: (result?.rows ?? []) as R[],
      numAffectedRows: BigInt(result?.affectedRows ?? 0),
    }
  }

  // biome-ignore lint/correctness/useYield: Kysely's interface asks for a generator.
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('The embedded database cannot stream results; page through them instead.')
  }
}
