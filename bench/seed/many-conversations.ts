/**
 * A user with very many conversations. Only those that are read have to open: the others are rows
 * with nothing in them, and lie before and behind them in the list.
 */

import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../src/database/schema.ts'
import { MODEL } from '../servers/claude-answer.ts'
import { sealedConversation } from './conversations.ts'

/** Rows that open at either place; more than the page that is read there. */
const READABLE = 120

/** How many rows are before those in the middle of the list. */
export const deepOffset = (count: number) => Math.floor(count / 2)

export async function seedManyConversations(
  db: Kysely<Schema>,
  userId: string,
  count: number,
): Promise<void> {
  const middle = deepOffset(count)
  await insertReadable(db, userId, 0)
  await insertFiller(db, userId, READABLE, middle)
  await insertReadable(db, userId, middle)
  await insertFiller(db, userId, middle + READABLE, count)
}

/** Index only scans need it; a server of some age has had its autovacuum. */
export async function settle(db: Kysely<Schema>, table: 'conversations' | 'ledger'): Promise<void> {
  await sql`vacuum (analyze) ${sql.table(table)}`.execute(db)
}

/** The row at `place` of the list was last active that many seconds before the newest. */
const NEWEST = sql`timestamptz '2026-01-01'`

async function insertReadable(db: Kysely<Schema>, userId: string, place: number): Promise<void> {
  const values = Array.from({ length: READABLE }, (_, index) => {
    const { row } = sealedConversation(userId)
    const at = sql<Date>`${NEWEST} - make_interval(secs => ${place + index})`
    return { ...row, model: MODEL, createdAt: at, updatedAt: at }
  })
  await db.insertInto('conversations').values(values).execute()
}

async function insertFiller(
  db: Kysely<Schema>,
  userId: string,
  from: number,
  to: number,
): Promise<void> {
  await sql`
    insert into conversations (id, user_id, data_key, title, model, created_at, updated_at)
    select gen_random_uuid(), ${userId}::uuid, '', '', ${MODEL}, at, at
    from generate_series(${from}::int, ${to}::int - 1) as place,
      lateral (select ${NEWEST} - make_interval(secs => place) as at) as times`.execute(db)
}
