/**
 * Kysely on PGlite: one session, handed out in order, so that no two transactions ever mix.
 *
 * A query on `db` inside an open transaction of the same process can never get the session, because
 * the transaction holds it. Instead of hanging for ever it fails after `acquireTimeoutMs`.
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
 * @param settled resolves once what was done so far is as durable as it is promised to be: only
 *   then does the one who did it hear of it, while the session is at work for others already.
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

  /** After whoever holds the session, unless that takes longer than a query would wait. */
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

/** `snapshot` is SQL Server's, and PostgreSQL's own message about it would be a syntax error. */
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
