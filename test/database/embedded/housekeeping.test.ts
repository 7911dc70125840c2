/** What nobody but the gateway itself does for the embedded database while it is in use. */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../../src/database/open.ts'
import { type FreshDatabase, firstStart } from '../../support/databases.ts'

let fresh: FreshDatabase
let database: Database

beforeAll(async () => {
  fresh = await firstStart()
  database = await openDatabase(fresh)
})

afterAll(async () => {
  await database.close()
  await fresh.drop()
})

/** The statement's plan, as a named statement gets one: for any values. */
async function planOf(statement: string, values: string): Promise<string> {
  const { rows } = await sql
    .raw<{ 'QUERY PLAN': string }>(`explain execute ${statement}(${values})`)
    .execute(database.db)
  return rows.map((row) => Object.values(row)[0]).join('\n')
}

/** Users with a conversation each, in which there are many messages. */
async function fill(from: number, to: number): Promise<void> {
  await sql
    .raw(`
    insert into users (id, username, username_key, email, email_key, password_hash, data_key)
    select gen_random_uuid(), n, n, n, n, '', '' from generate_series(${from}, ${to}) as n;
    insert into conversations (id, user_id, data_key, title, model)
    select id, id, '', '', '' from users where username::int >= ${from};
    insert into messages (id, conversation_id, user_id, position, role, status, model, content)
    select gen_random_uuid(), id, id, n, 'user', 'complete', '', sha256(n::text::bytea)
    from users, generate_series(1, 8) as n where username::int >= ${from}`)
    .execute(database.db)
}

test('a new database plans for rows that are to come, not for the none there are', async () => {
  await sql
    .raw('prepare history (uuid) as select * from messages where conversation_id = $1')
    .execute(database.db)
  expect(await planOf('history', 'null')).toContain('Index')
})

test('a plan made for a few rows is made again when there are many', async () => {
  await fill(1, 2)
  await sql.raw('analyze messages').execute(database.db)
  await sql
    .raw('prepare early (uuid) as select * from messages where conversation_id = $1')
    .execute(database.db)
  expect(await planOf('early', 'null')).toContain('Seq Scan')
  await fill(3, 600)
  await expect.poll(() => planOf('early', 'null')).toContain('Index')
})

test('dead rows are removed', async () => {
  const vacuums = async () => {
    await sql`update conversations set title = sha256(title)`.execute(database.db)
    const { rows } = await sql<{ vacuums: number; dead: number }>`
      select vacuum_count::int as vacuums, n_dead_tup::int as dead
      from pg_stat_user_tables where relname = 'conversations'`.execute(database.db)
    return rows[0]?.vacuums
  }
  await expect.poll(vacuums, { interval: 200 }).toBeGreaterThan(1)
})

const MEGABYTE = 1024 ** 2

async function logBytes(): Promise<number> {
  const { rows } = await sql<{ bytes: number }>`
    select sum(size)::int as bytes from pg_ls_waldir()`.execute(database.db)
  return rows[0]?.bytes ?? 0
}

test('the write-ahead log stays short, however much is written', async () => {
  for (let megabytes = 0; megabytes < 90; megabytes += 15) {
    await sql`
      select pg_logical_emit_message(false, '', repeat('x', ${MEGABYTE}))
      from generate_series(1, 15)`.execute(database.db)
    await expect.poll(logBytes).toBeLessThanOrEqual(36 * MEGABYTE)
  }
})
