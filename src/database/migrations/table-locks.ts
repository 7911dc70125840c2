/**
 * Takes a migration's table locks on PostgreSQL without harm to other sessions.
 *
 * A waiting lock request blocks every later one, and holding one lock while waiting for another may
 * deadlock with a statement that takes them in another order. So all locks are taken first, in the
 * order of the statements of turns, all or none, and within less than `deadlock_timeout`: it is
 * always the migration that gives way.
 */

import { type Kysely, sql } from 'kysely'

/** The order of start-turns.ts and finish-turns.ts; triggers and foreign keys lock the last. */
const ORDER = [
  'sessions',
  'spending',
  'connection_spending',
  'conversations',
  'conversation_grants',
  'storage',
  'messages',
  'ledger',
  'usage_daily',
  'users',
]
/** Upper bound for any `deadlock_timeout` of the server. */
const MOST_MS = 500

export type LockHolder = {
  pid: number
  /** Its `application_name`. */
  program: string
  tables: string[]
  /** Identifies the transaction while it lasts. */
  transaction: string
}

/** The tables of this schema that the words name, directly or by an index, in locking order. */
export async function tablesNamed<S>(db: Kysely<S>, words: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select distinct t.relname as name
    from pg_class t left join pg_index i on i.indrelid = t.oid
      left join pg_class index on index.oid = i.indexrelid
    where t.relnamespace = quote_ident(current_schema())::regnamespace and t.relkind in ('r', 'p')
      and (t.relname = any(${words}) or index.relname = any(${words}))
    order by name`.execute(db)
  const names = rows.map(({ name }) => name)
  const place = (name: string) => (ORDER.includes(name) ? ORDER.indexOf(name) : -1)
  return names.sort((a, b) => place(a) - place(b))
}

/**
 * Locks the tables for the rest of the transaction, and limits its further lock waits as well.
 *
 * @throws the database's error 55P03 when a lock is not free in time.
 */
export async function lockTables<S>(trx: Kysely<S>, tables: readonly string[]): Promise<void> {
  const limitMs = await longestWaitMs(trx)
  const until = performance.now() + limitMs
  const limit = async (ms: number) => {
    const text = `${Math.max(1, Math.ceil(ms))}ms`
    await sql`select set_config('lock_timeout', ${text}, true)`.execute(trx)
  }
  for (const table of tables) {
    await limit(until - performance.now())
    await sql`lock table ${sql.table(table)} in access exclusive mode`.execute(trx)
  }
  await limit(limitMs)
}

/** The sessions that hold locks on the tables now. */
export async function holdersOf<S>(
  db: Kysely<S>,
  tables: readonly string[],
): Promise<LockHolder[]> {
  const { rows } = await sql<LockHolder>`
    select l.pid, l.virtualtransaction as transaction,
      coalesce(min(a.application_name), '') as program,
      array_agg(distinct c.relname::text) as tables
    from pg_locks l
    join pg_class c on c.oid = l.relation
    left join pg_stat_activity a on a.pid = l.pid
    where l.granted and l.pid <> pg_backend_pid()
      and l.database = (select oid from pg_database where datname = current_database())
      and c.relnamespace = quote_ident(current_schema())::regnamespace and c.relname = any(${tables})
    group by l.pid, l.virtualtransaction
    order by l.pid`.execute(db)
  return rows
}

/** Half of `deadlock_timeout`, in milliseconds. */
async function longestWaitMs<S>(db: Kysely<S>): Promise<number> {
  const { rows } = await sql<{ ms: number }>`
    select setting::integer as ms from pg_settings where name = 'deadlock_timeout'`.execute(db)
  return Math.min(MOST_MS, (rows[0]?.ms ?? MOST_MS) / 2)
}
