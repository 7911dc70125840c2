import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../src/database/schema.ts'

/**
 * How many statements wait for a lock in a PostgreSQL database. Not to be asked in a transaction:
 * what it saw first is what it sees until its end.
 */
export async function lockWaiters(db: Kysely<Schema>): Promise<number> {
  const { rows } = await sql`select from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`.execute(db)
  return rows.length
}
