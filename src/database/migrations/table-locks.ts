/**
 * A migration's locks on PostgreSQL, taken so that nobody else comes to harm.
 *
 * A lock that waits holds up everyone who comes after it, and a lock that is held while another is
 * waited for may close a circle with a statement that has them the other way round. So all of them
 * are taken first, in the order in which the statements of turns have them, all or none, and within
 * less time than after which PostgreSQL looks for circles: it is always the migration that gives way.
 */

import { type Kysely, sql } from 'kysely'

/** The order of start-turns.ts and finish-turns.ts; triggers and foreign keys reach the last ones. */
const ORDER = [
  'sessions',
  'spending',
  'connection_spending',
  'conversations',
  'messages',
  'ledger',
  'usage_daily',
  'users',
]
/** And no longer, however patient the server is. */
const MOST_MS = 500

export type LockHolder = {
  pid: number
  /** Name of the program that it gave when it connected. */
  program: string
  tables: string[]
  /** Of the transaction, as long as it lasts. */
  transaction: string
}

/** The tables of this schema that the words name, themselves or by one of their indexes, as they are to be locked. */
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
 * For the rest of the transaction. What else is locked in it has as little time.
 *
 * @throws the database's error 55P03 when one is not to be had at once.
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

/** Who has locks on the tables now. */
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

/** Half of the time that a statement waits before it looks whether it waits in a circle. */
async function longestWaitMs<S>(db: Kysely<S>): Promise<number> {
  const { rows } = await sql<{ ms: number }>`
    select setting::integer as ms from pg_settings where name = 'deadlock_timeout'`.execute(db)
  return Math.min(MOST_MS, (rows[0]?.ms ?? MOST_MS) / 2)
}
