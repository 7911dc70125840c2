/** What nobody but the gateway itself does for the embedded database while it is in use. */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/open.ts'
import { type FreshDatabase, firstStart } from '../support/databases.ts'

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
  await fill(3, 1000)
  await expect.poll(() => planOf('early', 'null'), { timeout: 60_000 }).toContain('Index')
})

type Figures = { dead: number; logBytes: number; segmentBytes: number }

async function figures(): Promise<Figures> {
  const { rows } = await sql<Figures>`
    select
      (select n_dead_tup::int from pg_stat_user_tables where relname = 'conversations') as dead,
      (select sum(size)::int from pg_ls_waldir()) as log_bytes,
      pg_size_bytes(current_setting('wal_segment_size'))::int as segment_bytes`.execute(database.db)
  return rows[0] as Figures
}

test('dead rows are removed, and the write-ahead log stays short', async () => {
  await fill(1001, 3000)
  for (let time = 0; time < 12; time++) {
    await sql`update conversations set updated_at = now(), title = sha256(title)`.execute(
      database.db,
    )
  }
  // Several times over what may be written between two checkpoints, and that in one go.
  await expect.poll(async () => (await figures()).dead, { timeout: 60_000 }).toBeLessThan(700)
  await expect
    .poll(
      async () => {
        await sql`update conversations set updated_at = now()`.execute(database.db)
        return (await figures()).logBytes
      },
      { timeout: 60_000, interval: 500 },
    )
    .toBeLessThanOrEqual(40 * 1024 ** 2)
  expect((await figures()).segmentBytes).toBe(4 * 1024 ** 2)
})
