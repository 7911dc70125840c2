/**
 * Migrates a database to this build's schema, while older builds go on using it. Any number of
 * replicas may start at once: one holds an advisory lock and migrates; the others, when they get
 * the lock, find nothing left to do.
 *
 * @see db/README.md for how migrations are written.
 */

import { type Kysely, sql } from 'kysely'
import type { DatabaseKind } from '../open.ts'
import { Patience } from '../patience.ts'
import { LIFT_LIMITS } from '../postgresql/dialect.ts'
import { hasSharedSessions } from '../postgresql/shared-sessions.ts'
import { migrationFiles, partsOf } from './migration-files.ts'
import { applyPart } from './migration-part.ts'

const TABLE = 'schema_migrations'
/** The lock of Kysely's Migrator, which earlier builds use. */
const LOCK_ID = '3853314791062309107'
/** Long enough for a backup or another replica's migration to end. */
const MOST_WAIT_MS = 15 * 60_000
const LOCK_PAUSE_MS = 500
const OTHER_MIGRATES = 'Another process is migrating the database'

type Say = (message: string) => void
type Files = ReadonlyMap<string, string>

/**
 * Applies pending migrations, each part in its own transaction, without the pool's time limits.
 * While others hold a lock that it needs, it waits and reports for what.
 *
 * Migrations of a newer build are left alone: after a rollback the older build runs on the newer
 * schema, which therefore must stay compatible with it.
 *
 * @param warn called for migrations that this build does not know, and with what it waits for.
 * @param files SQL by name, as migrationFiles gives it.
 * @returns the names it applied.
 * @throws what the failed statement threw; the parts before it stay applied. AppError
 *   database_unavailable when the locks are not free within 15 minutes.
 */
export async function migrateToLatest<S>(
  db: Kysely<S>,
  kind: DatabaseKind,
  warn: Say = (message) => process.emitWarning(message),
  files: Files = migrationFiles(),
): Promise<string[]> {
  // The usual start takes no lock.
  if ((await pendingMigrations(db, files)).length === 0) {
    await warnOfUnknown(db, files, warn)
    return []
  }
  const patience = new Patience({ mostMs: MOST_WAIT_MS, say: warn })
  return db.connection().execute(async (connection) => {
    const apply = async () => {
      await createTables(connection)
      await warnOfUnknown(connection, files, warn)
      return applyAll({ connection, kind, patience }, files)
    }
    if (kind === 'embedded') return apply()
    await sql.raw(LIFT_LIMITS).execute(connection)
    return hasSharedSessions(db)
      ? exclusivelyBeside(db, patience, apply)
      : exclusively(connection, patience, apply)
  })
}

/** Names of this build's migrations that the database has not applied. */
export async function pendingMigrations<S>(
  db: Kysely<S>,
  files: Files = migrationFiles(),
): Promise<string[]> {
  const applied = new Set(await appliedNames(db))
  return [...files.keys()].filter((name) => !applied.has(name))
}

/** Polls: a session that waits for the lock in the server blocks `create index concurrently`. */
async function exclusively<S, T>(
  connection: Kysely<S>,
  patience: Patience,
  work: () => Promise<T>,
): Promise<T> {
  const lock = sql.lit(BigInt(LOCK_ID))
  for (;;) {
    const { rows } = await sql<{ taken: boolean }>`
      select pg_try_advisory_lock(${lock}) as taken`.execute(connection)
    if (rows[0]?.taken) break
    await patience.wait(LOCK_PAUSE_MS, OTHER_MIGRATES)
  }
  try {
    return await work()
  } finally {
    // A broken connection has released it.
    await sql`select pg_advisory_unlock(${lock})`.execute(connection).catch(() => {})
  }
}

/** Behind a pooler in transaction mode, a separate transaction holds the lock. */
async function exclusivelyBeside<S, T>(
  db: Kysely<S>,
  patience: Patience,
  work: () => Promise<T>,
): Promise<T> {
  const lock = sql.lit(BigInt(LOCK_ID))
  const attempt = () =>
    db.transaction().execute(async (trx) => {
      await sql`set local idle_in_transaction_session_timeout = 0`.execute(trx)
      const { rows } = await sql<{ taken: boolean }>`
        select pg_try_advisory_xact_lock(${lock}) as taken`.execute(trx)
      return rows[0]?.taken ? { done: await work() } : undefined
    })
  for (;;) {
    const outcome = await attempt()
    if (outcome) return outcome.done
    await patience.wait(LOCK_PAUSE_MS, OTHER_MIGRATES)
  }
}

type Place<S> = { connection: Kysely<S>; kind: DatabaseKind; patience: Patience }

async function applyAll<S>(place: Place<S>, files: Files): Promise<string[]> {
  const names = await pendingMigrations(place.connection, files)
  for (const name of names) await applyFile(place, name, files.get(name) as string)
  return names
}

async function applyFile<S>(place: Place<S>, name: string, text: string): Promise<void> {
  const done = new Set(await appliedNames(place.connection))
  const parts = partsOf(text)
  for (const [index, part] of parts.entries()) {
    const own = partName(name, index + 1)
    if (done.has(own)) continue
    const isLast = index === parts.length - 1
    const record = (db: Kysely<S>) => (isLast ? recordAll(db, name) : recordOne(db, own))
    await applyPart(place, { name, ...part }, record)
  }
}

/** The name under which a part is recorded until its whole file is done. */
const partName = (name: string, number: number) => `${name}/${number}`
const fileOf = (partOrFile: string) => partOrFile.split('/')[0] as string

async function recordOne<S>(db: Kysely<S>, name: string): Promise<void> {
  await sql`insert into ${sql.table(TABLE)} values (${name}, ${new Date().toISOString()})`.execute(
    db,
  )
}

async function recordAll<S>(db: Kysely<S>, name: string): Promise<void> {
  await sql`delete from ${sql.table(TABLE)} where name like ${partName(name, 0).slice(0, -1)} || '%'`.execute(
    db,
  )
  await recordOne(db, name)
}

/** The tables of Kysely's Migrator, which earlier builds use. */
async function createTables<S>(db: Kysely<S>): Promise<void> {
  await sql`create table if not exists ${sql.table(TABLE)}
    (name varchar(255) primary key, timestamp varchar(255) not null)`.execute(db)
  await sql`create table if not exists schema_migrations_lock
    (id varchar(255) primary key, is_locked integer not null default 0)`.execute(db)
  await sql`insert into schema_migrations_lock values ('migration_lock', 0) on conflict do nothing`.execute(
    db,
  )
}

async function warnOfUnknown<S>(db: Kysely<S>, files: Files, warn: Say): Promise<void> {
  const names = (await appliedNames(db)).filter((name) => !files.has(fileOf(name)))
  if (names.length) warn(`The database is newer than this build: it has ${names.join(', ')}.`)
}

/** Names of migrations, and of the parts of an unfinished one. */
async function appliedNames<S>(db: Kysely<S>): Promise<string[]> {
  const { rows: tables } = await sql<{ found: boolean }>`
    select to_regclass(${TABLE}) is not null as found`.execute(db)
  if (!tables[0]?.found) return []
  const { rows } = await sql<{ name: string }>`
    select name from ${sql.table(TABLE)} order by name`.execute(db)
  return rows.map(({ name }) => name)
}
