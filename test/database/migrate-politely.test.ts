/** Migrating a server while an older build works on it, or a backup reads it: nobody is harmed. */

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, Pool } from 'pg'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { migrateToLatest, pendingMigrations } from '../../src/database/migrations/migrate.ts'
import { migrationFiles } from '../../src/database/migrations/migration-files.ts'
import { type Database, openDatabase } from '../../src/database/open.ts'
import { type FreshDatabase, freshDatabaseOptions, hasPostgresql } from '../support/databases.ts'
import { emptySchema } from '../support/empty-schema.ts'

const BEFORE = '0005_kept_sums'
const USERS = 40
const SENDERS = 4
/** So that the machine, too, has room for the migration. */
const BETWEEN_TURNS_MS = 25
/** Of a machine on which everything takes long. */
const PATIENTLY = { timeout: 120_000 }

describe.runIf(hasPostgresql)('a migration', { timeout: 400_000 }, () => {
  let fresh: FreshDatabase
  let database: Database
  let pool: Pool
  const users = Array.from({ length: USERS }, () => randomUUID())

  beforeEach(async () => {
    fresh = await freshDatabaseOptions('postgresql')
    database = await openDatabase(fresh)
    pool = new Pool({ connectionString: fresh.url, max: SENDERS })
    // One that is still ending when its database is dropped says so, and nobody else would listen.
    pool.on('error', () => {})
    await emptySchema(database.db)
    const old = new Map([...migrationFiles()].filter(([name]) => name < BEFORE))
    await migrateToLatest(database.db, 'postgresql', undefined, old)
    await pool.query(
      `insert into users (id, username, username_key, email, email_key, password_hash, data_key)
       select id, id, id, id, id, '', '' from unnest($1::uuid[]) as id`,
      [users],
    )
    await pool.query(
      `with days as (select id as user_id, p.period, p.starts_on from users cross join
         (values ('day', date '2026-11-28'), ('month', date '2026-11-01')) as p (period, starts_on))
       insert into spending (user_id, period, starts_on) select * from days`,
    )
    await pool.query(
      `insert into ledger (user_id, conversation_id, message_id, model, input_tokens,
         cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens,
         thinking_tokens, booked_on)
       select ($1::uuid[])[1 + n % $2], gen_random_uuid(), gen_random_uuid(), 'model', 1, 0, 0, 0, 1,
         0, date '2026-11-01' + n % 20 from generate_series(1, 30000) as n`,
      [users, USERS],
    )
  })
  afterEach(async () => {
    await pool.end()
    await database.close()
    await fresh.drop()
  })

  /** Locks what a turn locks, in its order, but for longer: one statement each. */
  async function turn(userId: string): Promise<void> {
    const [conversationId, question, answer] = [randomUUID(), randomUUID(), randomUUID()]
    const spend = `update spending set spent_tokens = spent_tokens + 1 where user_id = '${userId}'`
    await inTransaction([
      spend,
      `insert into conversations (id, user_id, data_key, title, model, running_message_id)
       values ('${conversationId}', '${userId}', '', '', 'model', '${answer}')`,
      `insert into messages (id, conversation_id, user_id, position, role, status, model) values
       ('${question}', '${conversationId}', '${userId}', 1, 'user', 'running', 'model'),
       ('${answer}', '${conversationId}', '${userId}', 2, 'assistant', 'running', 'model')`,
    ])
    await inTransaction([
      `update messages set status = 'complete' where conversation_id = '${conversationId}'`,
      spend,
      `insert into ledger (user_id, conversation_id, message_id, model, input_tokens,
         cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens,
         thinking_tokens) values
       ('${userId}', '${conversationId}', '${answer}', 'model', 1, 0, 0, 0, 1, 0)`,
      `update conversations set running_message_id = null where id = '${conversationId}'`,
    ])
  }

  async function inTransaction(statements: string[]): Promise<void> {
    const client = await pool.connect()
    try {
      await client.query('begin')
      for (const statement of statements) await client.query(statement)
      await client.query('commit')
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  }

  function startTraffic() {
    const failures: string[] = []
    let turns = 0
    let isOver = false
    const senders = Array.from({ length: SENDERS }, async (_, i) => {
      // Its own users: one's turns wait for each other, and no order keeps two rows of theirs apart.
      const own = users.filter((_, place) => place % SENDERS === i)
      for (let n = 0; !isOver; n++) {
        await turn(own[n % own.length] as string).catch((error) => failures.push(String(error)))
        turns += 1
        await sleep(BETWEEN_TURNS_MS)
      }
    })
    const end = async () => {
      isOver = true
      await Promise.all(senders)
    }
    // A test that fails before it ends them would leave them to ask a pool that is closed, for ever.
    onTestFinished(end)
    return { failures, turns: () => turns, end }
  }

  const ask = async (text: string) => (await pool.query(text)).rows

  async function expectSums(): Promise<void> {
    expect(
      await ask(`select id from users u where conversation_count <>
        (select count(*) from conversations c where c.user_id = u.id)`),
    ).toEqual([])
    expect(
      await ask(`(select * from usage_daily except select * from ledger_by_day)
        union all (select * from ledger_by_day except select * from usage_daily)`),
    ).toEqual([])
  }

  test('under the traffic of an older build: no turn fails, and what it sums up is right', async () => {
    const traffic = startTraffic()
    await expect.poll(traffic.turns, PATIENTLY).toBeGreaterThan(SENDERS * 2)
    const applied = await migrateToLatest(database.db, 'postgresql', () => {})
    const afterwards = traffic.turns()
    await expect.poll(traffic.turns, PATIENTLY).toBeGreaterThan(afterwards + SENDERS * 2)
    await traffic.end()
    expect(applied).toContain(BEFORE)
    expect(traffic.failures).toEqual([])
    expect(await pendingMigrations(database.db)).toEqual([])
    await expectSums()
  })

  test('while a backup reads: it waits and says for whom, and the traffic goes on', async () => {
    const backup = new Client({ connectionString: fresh.url, application_name: 'pg_dump' })
    await backup.connect()
    const { rows } = await backup.query('select pg_backend_pid() as pid')
    await backup.query('begin isolation level repeatable read')
    await backup.query('lock table users, conversations, messages, ledger in access share mode')
    const traffic = startTraffic()
    const said: string[] = []
    const migrating = migrateToLatest(database.db, 'postgresql', (message) => said.push(message))
    await expect.poll(() => said.length, PATIENTLY).toBeGreaterThan(0)
    expect(said[0]).toContain(`process ${rows[0].pid} (pg_dump) has conversations`)
    const before = traffic.turns()
    await expect.poll(traffic.turns, PATIENTLY).toBeGreaterThan(before + SENDERS * 10)
    expect(await pendingMigrations(database.db)).toContain(BEFORE)

    await backup.query('commit')
    await backup.end()
    expect(await migrating).toContain(BEFORE)
    await traffic.end()
    expect(traffic.failures).toEqual([])
    await expectSums()
  })

  test('several processes wait for the one that waits, and find nothing left to do', async () => {
    const others = await Promise.all([1, 2].map(() => openDatabase(fresh)))
    const backup = new Client({ connectionString: fresh.url, application_name: 'pg_dump' })
    await backup.connect()
    await backup.query('begin; lock table ledger in access share mode')
    const said: string[] = []
    const results = Promise.all(
      [database, ...others].map(({ db }) =>
        migrateToLatest(db, 'postgresql', (message) => said.push(message)),
      ),
    )
    await expect.poll(() => said.length, PATIENTLY).toBeGreaterThan(2)
    await backup.end()
    expect((await results).filter((names) => names.length > 0)).toHaveLength(1)
    expect(said.filter((message) => message.includes('Another process'))).not.toEqual([])
    await Promise.all(others.map((other) => other.close()))
  })
})
