/**
 * Kysely on PGlite: one session, handed out in FIFO order, so that transactions never mix.
 *
 * A query on `db` inside an open transaction of the same process can never get the session, because
 * the transaction holds it. Instead of hanging forever it fails after `acquireTimeoutMs`.
 */

import type { PGlite } from '@electric-sql/pglite'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type IsolationLevel,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type TransactionSettings,
} from 'kysely'
import type { OneConnection } from './session.ts'

/**
 * @param settled resolves once everything committed so far is durable. Awaited before the caller
 *   gets its result, but after the session is released to the next caller.
 */
export function pgliteDialect(
  pglite: PGlite,
  session: OneConnection,
  settled: () => Promise<void> = async () => {},
): Dialect {
  return {
    createAdapter: () => new PgliteAdapter(),
    createDriver: () => new PgliteDriver(pglite, session, settled),
    createIntrospector: (db: Kysely<unknown>) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  }
}

/** The session is exclusive already, and a session lock would outlive a failed release. */
class PgliteAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

class PgliteDriver implements Driver {
  readonly #pglite: PGlite
  readonly #session: OneConnection
  readonly #settled: () => Promise<void>

  constructor(pglite: PGlite, session: OneConnection, settled: () => Promise<void>) {
    this.#pglite = pglite
    this.#session = session
    this.#settled = settled
  }

  async init(): Promise<void> {
    await this.#pglite.waitReady
  }

  acquireConnection(): Promise<DatabaseConnection> {
    return this.#session.acquire()
  }

  async releaseConnection(): Promise<void> {
    this.#session.release()
    await this.#settled()
  }

  async beginTransaction(
    connection: DatabaseConnection,
    settings: TransactionSettings,
  ): Promise<void> {
    await run(connection, beginStatement(settings))
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await run(connection, 'commit')
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await run(connection, 'rollback')
  }

  async savepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await run(connection, `savepoint ${quoted(name)}`)
  }

  async rollbackToSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await run(connection, `rollback to ${quoted(name)}`)
  }

  async releaseSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await run(connection, `release ${quoted(name)}`)
  }

  /** Waits for the current holder of the session, but no longer than a query would. */
  async destroy(): Promise<void> {
    const turn = await this.#session.acquire().catch(() => undefined)
    await this.#pglite.close()
    if (turn) this.#session.release()
  }
}

function beginStatement({ isolationLevel, accessMode }: TransactionSettings): string {
  if (!isolationLevel && !accessMode) return 'begin'
  const level = isolationLevel ? ` isolation level ${known(isolationLevel)}` : ''
  return `start transaction${level}${accessMode ? ` ${accessMode}` : ''}`
}

/** `snapshot` is SQL Server's; PostgreSQL would only report a syntax error. */
function known(level: IsolationLevel): IsolationLevel {
  if (level === 'snapshot') throw new Error('PostgreSQL has no isolation level "snapshot"')
  return level
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

async function run(connection: DatabaseConnection, text: string): Promise<void> {
  await connection.executeQuery(CompiledQuery.raw(text))
}
