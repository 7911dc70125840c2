/**
 * Brings a database to this build's schema. Any number of replicas may do so at once: they queue
 * on an advisory lock of the server, and all but the first find nothing left to do.
 */

import { type Kysely, type Migration, Migrator, sql } from 'kysely'
import { migrationFiles } from './migration-files.ts'
import type { DatabaseKind } from './open.ts'
import { LIFT_LIMITS } from './postgresql.ts'

const TABLE = 'schema_migrations'
const LOCK_TABLE = 'schema_migrations_lock'

/**
 * Applies what is missing, each migration in its own transaction, without the pool's time limits.
 *
 * Migrations of a newer build are left alone: after a rollback the older build runs on the newer
 * schema, which therefore must stay readable for it.
 *
 * @param warn told of migrations this build does not know.
 * @returns the names it applied.
 * @throws what the failed statement threw; the migrations before it stay applied.
 */
export async function migrateToLatest<S>(
  db: Kysely<S>,
  kind: DatabaseKind,
  warn: (message: string) => void = (message) => process.emitWarning(message),
): Promise<string[]> {
  // The usual start: no lock, and none of the Migrator's slow look at every table.
  if ((await pendingMigrations(db)).length === 0) {
    warnOfUnknown(await unknownMigrations(db), warn)
    return []
  }
  return db.connection().execute(async (connection) => {
    if (kind === 'postgresql') await sql.raw(LIFT_LIMITS).execute(connection)
    return exclusively(connection, () => applyAll(connection, warn))
  })
}

/** Names this build has and the database has not. */
export async function pendingMigrations<S>(db: Kysely<S>): Promise<string[]> {
  const applied = new Set(await appliedMigrations(db))
  return [...migrationFiles().keys()].filter((name) => !applied.has(name))
}

/** A session may take PostgreSQL's advisory lock again, so the Migrator's own lock nests in this. */
async function exclusively<S, T>(connection: Kysely<S>, work: () => Promise<T>): Promise<T> {
  const { adapter } = connection.getExecutor()
  const lock = { lockTable: LOCK_TABLE, lockRowId: 'migration_lock' }
  await adapter.acquireMigrationLock(connection, lock)
  try {
    return await work()
  } finally {
    await adapter.releaseMigrationLock(connection, lock)
  }
}

async function applyAll<S>(connection: Kysely<S>, warn: (message: string) => void) {
  const migrator = new Migrator({
    db: connection,
    provider: { getMigrations: async () => migrations },
    migrationTableName: TABLE,
    migrationLockTableName: LOCK_TABLE,
  })
  const migrations = await knownAndUnknown(connection, warn)
  const names: string[] = []
  for (;;) {
    const { error, results = [] } = await migrator.migrateUp()
    if (error) throw error
    if (results.length === 0) return names
    names.push(...results.map(({ migrationName }) => migrationName))
  }
}

/** The Migrator refuses a database with migrations it has no entry for. */
async function knownAndUnknown<S>(connection: Kysely<S>, warn: (message: string) => void) {
  const files = migrationFiles()
  const migrations: Record<string, Migration> = {}
  for (const [name, text] of files) {
    migrations[name] = { up: async (trx) => void (await sql.raw(text).execute(trx)) }
  }
  const unknown = await unknownMigrations(connection)
  for (const name of unknown) migrations[name] = { up: async () => {} }
  warnOfUnknown(unknown, warn)
  return migrations
}

async function unknownMigrations<S>(db: Kysely<S>): Promise<string[]> {
  const files = migrationFiles()
  return (await appliedMigrations(db)).filter((name) => !files.has(name))
}

function warnOfUnknown(names: string[], warn: (message: string) => void): void {
  if (names.length) warn(`The database is newer than this build: it has ${names.join(', ')}.`)
}

async function appliedMigrations<S>(db: Kysely<S>): Promise<string[]> {
  const { rows: tables } = await sql<{ found: boolean }>`
    select to_regclass(${TABLE}) is not null as found`.execute(db)
  if (!tables[0]?.found) return []
  const { rows } = await sql<{ name: string }>`
    select name from ${sql.table(TABLE)} order by name`.execute(db)
  return rows.map(({ name }) => name)
}
