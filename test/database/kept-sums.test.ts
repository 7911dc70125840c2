/** The sums that triggers keep are what the rows add up to, whoever changes the rows, and how. */

import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { migrationFiles } from '../../src/database/migrations/migration-files.ts'
import { type Database, openDatabase } from '../../src/database/open.ts'
import { USAGE_GROUPS } from '../../src/repositories/billing/ledger.ts'
import { createRepositories, createTransact } from '../../src/repositories/index.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../support/databases.ts'
import { emptySchema } from '../support/empty-schema.ts'

const EVER = { from: '2020-01-01', to: '2999-12-31' }
const SUMS = '0005_kept_sums'

describeDatabases('the sums that are kept', (kind) => {
  let fresh: FreshDatabase
  let database: Database

  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    database = await openDatabase(fresh)
  })
  beforeEach(async () => {
    await emptySchema(database.db)
    for (const [name, text] of migrationFiles()) {
      if (name < SUMS) await sql.raw(text).execute(database.db)
    }
  })
  afterAll(async () => {
    await database.close()
    await fresh.drop()
  })

  const migrate = async () => {
    for (const [name, text] of migrationFiles()) {
      if (name >= SUMS) await sql.raw(text.replaceAll('concurrently', '')).execute(database.db)
    }
  }

  const insertUser = async () => {
    const id = randomUUID()
    await sql`
      insert into users (id, username, username_key, email, email_key, password_hash, data_key)
      values (${id}, ${id}, ${id}, ${id}, ${id}, '', '')`.execute(database.db)
    return id
  }

  const insertConversations = (userId: string, count: number) =>
    sql`
      insert into conversations (id, user_id, data_key, title, model)
      select gen_random_uuid(), ${userId}::uuid, '', '', 'some-model'
      from generate_series(1, ${count}::int)`.execute(database.db)

  /** Two days, three models, three tags or none, some estimated, some without a price. */
  const insertCalls = (userId: string, count: number) =>
    sql`
      insert into ledger (user_id, conversation_id, message_id, model, input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens,
        thinking_tokens, cost_nano_usd, estimated, tag, booked_on)
      select ${userId}::uuid, gen_random_uuid(), gen_random_uuid(), 'model ' || n % 3, n, 2, 3, 5,
        7, 1, case when n % 5 > 0 then n * 1000 end, case when n % 7 = 0 then 'stream_broken' end,
        case when n % 4 > 0 then 'tag ' || n % 4 end, date '2026-11-01' + n % 2
      from generate_series(1, ${count}::int) as n`.execute(database.db)

  const totals = async (...users: string[]) => {
    const { rows } = await sql<{ id: string; kept: string; counted: string }>`
      select id, conversation_count as kept,
        (select count(*) from conversations c where c.user_id = u.id) as counted
      from users u`.execute(database.db)
    for (const { kept, counted } of rows) expect(kept).toBe(counted)
    expect(rows).toHaveLength(users.length)
    return users.map((user) => Number(rows.find(({ id }) => id === user)?.kept))
  }

  const days = async () => {
    const kept = await sql`select * from usage_daily order by 1, 2, 3, 4`.execute(database.db)
    const added = await sql`select * from ledger_by_day order by 1, 2, 3, 4`.execute(database.db)
    expect(kept.rows).toEqual(added.rows)
    const drift = await createRepositories(database.db).ledgerAudit.listDrift()
    expect(drift.filter(({ what }) => what === 'day')).toEqual([])
    return kept.rows as { tag: string }[]
  }

  test('begin with what is there', async () => {
    const ada = await insertUser()
    const eve = await insertUser()
    await insertConversations(ada, 3)
    await insertCalls(ada, 40)
    await insertCalls(eve, 3)
    await migrate()
    expect(await totals(ada, eve)).toEqual([3, 0])
    expect(await days()).toHaveLength(12 + 3)
  })

  test('follow conversations that are made and deleted, one or many at a time', async () => {
    await migrate()
    const ada = await insertUser()
    const eve = await insertUser()
    await insertConversations(ada, 1)
    await insertConversations(eve, 250)
    await Promise.all([1, 2, 3, 4].map(() => insertConversations(ada, 1)))
    expect(await totals(ada, eve)).toEqual([5, 250])
    await sql`delete from conversations where user_id = ${eve}
      and id in (select id from conversations where user_id = ${eve} limit 50)`.execute(database.db)
    expect(await totals(ada, eve)).toEqual([5, 200])
    const { conversationLists, conversations } = createRepositories(database.db)
    expect(await conversations.count(null)).toBe(205)
    expect(await conversationLists.list(eve, 'mine', { limit: 3, offset: 199 })).toMatchObject({
      total: 200,
      rows: [{}],
    })
    await sql`delete from users where id = ${eve}`.execute(database.db)
    expect(await totals(ada)).toEqual([5])
    expect(await conversations.count(eve)).toBe(0)
  })

  test('follow the ledger: added, unlabelled, corrected by hand', async () => {
    await migrate()
    const ada = await insertUser()
    const eve = await insertUser()
    await Promise.all([1, 2, 3, 4].map(() => insertCalls(ada, 20)))
    await insertCalls(eve, 20)
    expect(await days()).toHaveLength(12 + 12)
    await createTransact(database.db)(({ erasure }) => erasure.clearTags(ada))
    const rows = await days()
    expect(rows.filter(({ tag }) => tag === '')).toHaveLength(6 + 3)
    expect(rows).toHaveLength(6 + 12)
    await sql`update ledger set cost_nano_usd = 1, booked_on = '2026-11-09' where user_id = ${eve}`.execute(
      database.db,
    )
    expect(await days()).toHaveLength(6 + 12)
    await sql`delete from ledger where user_id = ${eve}`.execute(database.db)
    expect(await days()).toHaveLength(6)
  })

  test.each(USAGE_GROUPS)('by %s they are the sum of the calls', async (group) => {
    await migrate()
    const ada = await insertUser()
    await insertCalls(ada, 60)
    await insertCalls(await insertUser(), 7)
    const { ledger } = createRepositories(database.db)
    const reader = { userId: ada, readsEverybody: false }
    const { rows, total, groups } = await ledger.sum(reader, EVER, group, {
      limit: 1000,
      offset: 0,
    })
    const sum = (field: 'calls' | 'inputTokens' | 'costNanoUsd' | 'unpricedCalls') => {
      const added = rows.reduce((total, row) => total + Number(row[field]), 0)
      expect(String(total[field])).toBe(String(added))
      return added
    }
    const input = (60 * 61) / 2 + 60 * 10
    const unpriced = 12
    expect([sum('calls'), sum('inputTokens'), sum('unpricedCalls')]).toEqual([60, input, unpriced])
    expect(sum('costNanoUsd')).toBe(((60 * 61) / 2 - (5 * 12 * 13) / 2) * 1000)
    const expected = {
      ...{ day: 2, model: 3, conversation: 60, tag: 4, user: 1 },
      ...{ session: 1, client: 1, source: 1, key: 1 },
    }
    expect([rows.length, groups]).toEqual([expected[group], expected[group]])
    const pages = await Promise.all(
      [0, 2, 1000].map((offset) => ledger.sum(reader, EVER, group, { limit: 2, offset })),
    )
    expect(pages.map((page) => page.rows)).toEqual([rows.slice(0, 2), rows.slice(2, 4), []])
    expect(pages.map((page) => [page.total, page.groups])).toEqual(pages.map(() => [total, groups]))
  })

  test('a sum that is not what the rows add up to is a drift', async () => {
    await migrate()
    await insertCalls(await insertUser(), 4)
    await sql`update usage_daily set output_tokens = output_tokens + 1 where tag = 'tag 2'`.execute(
      database.db,
    )
    const drift = await createRepositories(database.db).ledgerAudit.listDrift()
    expect(drift.filter(({ what }) => what === 'day')).toMatchObject([
      { where: expect.stringMatching(/ 2026-11-01 model 2 tag 2$/) },
    ])
  })
})
