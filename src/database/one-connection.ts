/** PGlite's single session behind a first-in, first-out lock. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PGlite } from '@electric-sql/pglite'
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely'
import { AppError } from '../errors.ts'
import { PgliteStatements } from './pglite-statements.ts'
import { preparedName } from './prepared.ts'

export type OneConnection = {
  /**
   * The session, granted in the order of asking.
   * @throws AppError database_unavailable when it does not come free in time.
   */
  acquire(): Promise<DatabaseConnection>
  /** Hands the session to whoever has waited longest. */
  release(): void
}

export function oneConnection(pglite: PGlite, acquireTimeoutMs: number): OneConnection {
  const connection = new PgliteConnection(pglite)
  const waiting: (() => void)[] = []
  let held = false

  return {
    async acquire() {
      if (held) await turn(waiting, acquireTimeoutMs)
      // Set again by a waiter, but never unset between two holders: nobody can jump the queue.
      held = true
      return connection
    },
    release() {
      const next = waiting.shift()
      if (next) next()
      else held = false
    },
  }
}

function turn(waiting: (() => void)[], acquireTimeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const grant = () => {
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(() => {
      waiting.splice(waiting.indexOf(grant), 1)
      reject(busy(acquireTimeoutMs))
    }, acquireTimeoutMs)
    waiting.push(grant)
  })
}

function busy(acquireTimeoutMs: number): AppError {
  const cause = new Error(
    'No connection came free: probably a query on db inside an open transaction, or a transaction held across slow work.',
  )
  return new AppError(
    'database_unavailable',
    `The database was busy for ${acquireTimeoutMs / 1000} s. Try again shortly.`,
    { cause },
  )
}

class PgliteConnection implements DatabaseConnection {
  readonly #pglite: PGlite
  readonly #statements: PgliteStatements

  constructor(pglite: PGlite) {
    this.#pglite = pglite
    this.#statements = new PgliteStatements(pglite)
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    // A query occupies the thread and resolves in microtasks: without this turn a queue of queries
    // would keep sockets and timers waiting until the last of them is done.
    await nextTurn()
    const name = preparedName(sql)
    if (name !== undefined) return { rows: await this.#statements.run<R>(name, sql, parameters) }
    const result = parameters.length
      ? await this.#pglite.query<R>(sql, [...parameters])
      : // exec() takes several statements, which query() refuses, and costs a fifth.
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
