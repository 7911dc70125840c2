import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeDatabases } from '../support/databases.ts'
import {
  eras,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../support/start-app.ts'

const DAY_MS = 86_400_000
const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString().slice(0, 10)

type Booked = {
  day: string
  model?: string
  tag?: string | null
  conversationId?: string
  costNanoUsd?: bigint | null
  estimated?: string | null
  source?: 'mcp' | 'messages'
  client?: string
  sessionLabel?: string
  agentId?: string
  msTotal?: number
  createdAt?: Date
}

describeDatabases('get_usage', (kind) => {
  let app: TestApp
  let ada: TestUser
  let bob: TestUser
  let client: TestClient
  let boss: TestClient
  const conversations = [randomUUID(), randomUUID()] as const

  /** A line of the ledger: 10 in, 5 of them cached twice over, 7 out. */
  async function book(user: TestUser, booked: Booked): Promise<void> {
    const row = {
      userId: user.userId,
      conversationId: booked.conversationId ?? randomUUID(),
      messageId: randomUUID(),
      model: booked.model ?? 'claude-sonnet-5-5',
      inputTokens: 10,
      cacheWrite5mTokens: 3,
      cacheWrite1hTokens: 2,
      cacheReadTokens: 5,
      outputTokens: 7,
      thinkingTokens: 1,
      unitPrices: null,
      costNanoUsd: booked.costNanoUsd === undefined ? 1_000_000n : booked.costNanoUsd,
      estimated: booked.estimated ?? null,
      requestId: null,
      tag: booked.tag ?? null,
      bookedOn: booked.day,
      source: booked.source ?? 'mcp',
      client: booked.client ?? null,
      sessionLabel: booked.sessionLabel ?? null,
      agentId: booked.agentId ?? null,
      msTotal: booked.msTotal ?? null,
      ...(booked.createdAt && { createdAt: booked.createdAt }),
    }
    await app.app.db.insertInto('ledger').values(row).execute()
  }

  beforeAll(async () => {
    app = await startApp({ kind, env: { ADMIN_USERNAMES: 'boss' } })
    ada = await app.register('ada')
    bob = await app.register('bob')
    client = await app.connect('legacy', ada.accessToken)
    boss = await app.connect('modern', (await app.register('boss')).accessToken)
    const [first, second] = conversations
    await book(ada, {
      day: daysAgo(0),
      conversationId: first,
      tag: 'alpha',
      costNanoUsd: 5_000_001n,
    })
    await book(ada, { day: daysAgo(0), conversationId: first, estimated: 'stream_broken' })
    await book(ada, { day: daysAgo(29), conversationId: second, tag: 'alpha' })
    await book(ada, { day: daysAgo(30), model: 'claude-opus-5-5', costNanoUsd: 9_000_000n })
    await book(ada, { day: daysAgo(1), model: 'claude-next-9', tag: 'beta', costNanoUsd: null })
    await book(bob, { day: daysAgo(0), tag: 'alpha', costNanoUsd: 70_000_000n })
  })
  afterAll(() => app.close())

  const ask = async (args: Record<string, unknown> = {}, asker = client) =>
    (await asker.call('get_usage', args)).structured.data
  const keysOf = (report: { rows: { key: string | null }[] }) => report.rows.map(({ key }) => key)

  const figures = (calls: number, costUsd: number, more: Record<string, number> = {}) => ({
    calls,
    estimated_calls: 0,
    unpriced_calls: 0,
    input_tokens: 20 * calls,
    output_tokens: 7 * calls,
    cache_read_input_tokens: 5 * calls,
    cache_creation_input_tokens: 5 * calls,
    cost_usd: costUsd,
    ...more,
  })

  test('the last 30 days by day, in order, own only', async () => {
    expect(await ask()).toEqual({
      scope: 'own',
      from: daysAgo(29),
      to: daysAgo(0),
      group_by: 'day',
      rows: [
        { key: daysAgo(29), ...figures(1, 0.001) },
        { key: daysAgo(1), ...figures(1, 0, { unpriced_calls: 1 }) },
        { key: daysAgo(0), ...figures(2, 0.006000001, { estimated_calls: 1 }) },
      ],
      total: figures(4, 0.007000001, { estimated_calls: 1, unpriced_calls: 1 }),
      storage: { bytes: expect.any(Number), limit_bytes: 1_073_741_824 },
    })
  })

  test('page by page, with the total of all of them', async () => {
    const whole = await ask({ group_by: 'model', from: daysAgo(30) })
    const first = await ask({ group_by: 'model', from: daysAgo(30), limit: 2 })
    expect(first).toMatchObject({
      rows: whole.rows.slice(0, 2),
      total: whole.total,
      next_offset: 2,
    })
    const last = await ask({ group_by: 'model', from: daysAgo(30), limit: 2, offset: 2 })
    expect(last).toMatchObject({ rows: whole.rows.slice(2), total: whole.total })
    expect(last).not.toHaveProperty('next_offset')
  })

  test('by model and by tag, the dearest first', async () => {
    const byModel = await ask({ group_by: 'model', from: daysAgo(30) })
    expect(byModel.rows).toEqual([
      { key: 'claude-opus-5-5', ...figures(1, 0.009) },
      { key: 'claude-sonnet-5-5', ...figures(3, 0.007000001, { estimated_calls: 1 }) },
      { key: 'claude-next-9', ...figures(1, 0, { unpriced_calls: 1 }) },
    ])
    const byTag = await ask({ group_by: 'tag' })
    expect(byTag.rows).toEqual([
      { key: 'alpha', ...figures(2, 0.006000001) },
      { key: null, ...figures(1, 0.001, { estimated_calls: 1 }) },
      { key: 'beta', ...figures(1, 0, { unpriced_calls: 1 }) },
    ])
  })

  test('by conversation and by user', async () => {
    const [first, second] = conversations
    const byConversation = await ask({ group_by: 'conversation', from: daysAgo(29) })
    expect(keysOf(byConversation).slice(0, 2)).toEqual([first, second])
    expect(byConversation.rows[0]).toEqual({
      key: first,
      // The ledger has it, and no conversation.
      deleted: true,
      ...figures(2, 0.006000001, { estimated_calls: 1 }),
    })
    expect(keysOf(await ask({ group_by: 'user' }))).toEqual(['ada'])
  })

  describe('of the Messages API', () => {
    const day = daysAgo(60)
    const range = { from: day, to: day }
    const call = { day, source: 'messages', client: 'claude-cli', sessionLabel: 'same-1' } as const
    const at = (minute: string) => new Date(`${day}T10:${minute}:00.000Z`)
    const other = { ...call, client: 'curl', sessionLabel: 'other-2' }
    const facts = {
      models: ['claude-sonnet-5-5'],
      first_call_at: expect.stringMatching(/Z$/),
      last_call_at: expect.stringMatching(/Z$/),
      cache_hit_share: 0.25,
      subagent_share: 0,
    }
    beforeAll(async () => {
      const [first, last] = [at('02'), at('30')]
      const ofAgent = { model: 'claude-haiku-5-5', agentId: 'agent-1', costNanoUsd: 3_000_000n }
      await book(ada, { ...call, ...ofAgent, createdAt: last, msTotal: 60_000 })
      await book(ada, { ...call, createdAt: first, msTotal: 90_000 })
      await book(ada, { ...other, createdAt: at('05') })
      await book(ada, { day })
      await book(bob, { ...call, costNanoUsd: 9_000_000n })
    })

    test('by session, by client and by source', async () => {
      const bySession = await ask({ ...range, group_by: 'session' })
      expect(bySession.rows).toEqual([
        {
          key: 'same-1',
          ...figures(2, 0.004),
          models: ['claude-haiku-5-5', 'claude-sonnet-5-5'],
          first_call_at: `${day}T10:00:30.000Z`,
          last_call_at: `${day}T10:30:00.000Z`,
          cache_hit_share: 0.25,
          subagent_share: 0.75,
        },
        {
          key: 'other-2',
          ...figures(1, 0.001),
          ...facts,
          first_call_at: `${day}T10:05:00.000Z`,
          last_call_at: `${day}T10:05:00.000Z`,
        },
        { key: null, ...figures(1, 0.001) },
      ])
      expect(bySession.total).toEqual(figures(4, 0.006))
      expect(keysOf(await ask({ ...range, group_by: 'client' }))).toEqual([
        'claude-cli',
        'curl',
        null,
      ])
      expect((await ask({ ...range, group_by: 'source' })).rows).toEqual([
        { key: 'messages', ...figures(3, 0.005) },
        { key: 'mcp', ...figures(1, 0.001) },
      ])
    })

    test('of a session without a known price no share of sub-agents is made up', async () => {
      const lastWeek = { ...call, day: daysAgo(70), sessionLabel: 'unpriced', costNanoUsd: null }
      await book(ada, lastWeek)
      const { rows } = await ask({ from: daysAgo(70), to: daysAgo(70), group_by: 'session' })
      expect(rows).toMatchObject([{ key: 'unpriced', unpriced_calls: 1, subagent_share: null }])
    })

    test('an admin sees the same label of two users as two sessions, each with its user', async () => {
      const { rows } = await ask({ ...range, group_by: 'session' }, boss)
      const key = expect.stringContaining('same-1')
      const adas = { ...facts, models: expect.any(Array), subagent_share: 0.75 }
      expect(rows.slice(0, 2)).toEqual([
        { key_is_untrusted: true, key, user: 'bob', ...figures(1, 0.009), ...facts },
        { key_is_untrusted: true, key, user: 'ada', ...figures(2, 0.004), ...adas },
      ])
    })
  })

  test('both ends of a range are included, and one end is enough', async () => {
    const [oldest, yesterday] = [daysAgo(30), daysAgo(1)]
    expect(keysOf(await ask({ from: oldest, to: yesterday }))).toEqual([
      oldest,
      daysAgo(29),
      yesterday,
    ])
    expect(keysOf(await ask({ from: yesterday }))).toEqual([yesterday, daysAgo(0)])
    const upTo = await ask({ to: yesterday })
    expect([upTo.from, ...keysOf(upTo)]).toEqual([oldest, oldest, daysAgo(29), yesterday])
    const empty = await ask({ from: '2026-01-01', to: '2026-01-01' })
    expect(empty).toMatchObject({ rows: [], total: figures(0, 0) })
    expect((await ask({ to: '9999-12-31', from: '9999-12-31' })).rows).toEqual([])
  })

  test('an admin sees everybody', async () => {
    const report = await ask({ group_by: 'user' }, boss)
    expect(report).toMatchObject({ scope: 'everybody', total: { calls: 5, cost_usd: 0.077000001 } })
    expect(report.rows).toEqual([
      { key: 'bob', ...figures(1, 0.07) },
      { key: 'ada', ...figures(4, 0.007000001, { estimated_calls: 1, unpriced_calls: 1 }) },
    ])
  })

  test.each([
    ['from', { from: '2026-02-30' }],
    ['to', { to: 'yesterday' }],
    ['to', { to: '0001-01-01' }],
    ['from', { from: '2019-12-31' }],
    ['from must not be after to', { from: '2026-01-02', to: '2026-01-01' }],
    ['group_by', { group_by: 'week' }],
    ['username', { username: 'bob' }],
  ])('a wrong %s is refused: %o', async (field, args) => {
    const { isError, structured } = await client.call('get_usage', args)
    expect(isError).toBe(true)
    expect(structured.error.code).toBe('invalid_input')
    expect(structured.error.message).toContain(field)
  })

  describe.each(eras)('the usage resource, %s era', (era) => {
    const uri = 'mcp://claude-api-gateway/usage'
    const read = async (user: TestUser) => {
      const { raw } = await app.connect(era, user.accessToken)
      const { contents } = await raw.readResource({ uri })
      const [content] = contents as { uri: string; mimeType: string; text: string }[]
      expect(content).toMatchObject({ uri, mimeType: 'application/json' })
      return JSON.parse(content?.text ?? '')
    }

    test('holds the same figures, by day and by model', async () => {
      const [byDay, byModel] = [await ask(), await ask({ group_by: 'model' })]
      expect(await read(ada)).toEqual({
        scope: 'own',
        from: byDay.from,
        to: byDay.to,
        total: byDay.total,
        by_day: byDay.rows,
        by_model: byModel.rows,
      })
      expect(await read(bob)).toMatchObject({ scope: 'own', total: { calls: 1, cost_usd: 0.07 } })
    })
  })

  test('a call shows up under its tag, an estimate as one', async () => {
    const carol = await app.register()
    const asking = await app.connect('legacy', carol.accessToken)
    const message = 'four'.repeat(10)
    await asking.call('send_message', { message, tag: '  build 7 ' })
    app.claude.script({ kind: 'stream_drop', afterChunks: 1 })
    await asking.call('send_message', { message, tag: 'build 8' })
    const { rows } = await ask({ group_by: 'tag' }, asking)
    // 13 x 2 + 10 x 10 USD per million; of the other nobody counted the output.
    const told = { input_tokens: 13, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 }
    // Dearest first.
    const [broken, whole] = rows
    expect(rows).toHaveLength(2)
    expect(whole).toEqual({ key: 'build 7', ...figures(1, 0.000126), ...told, output_tokens: 10 })
    expect(broken.output_tokens).toBeGreaterThanOrEqual(32)
    const cost = (13 * 2000 + broken.output_tokens * 10_000) / 1e9
    const most = { ...figures(1, cost, { estimated_calls: 1 }), ...told }
    expect(broken).toEqual({ key: 'build 8', ...most, output_tokens: broken.output_tokens })
  })

  test.each(['', '   ', 'x'.repeat(65)])('a tag like %o is refused', async (tag) => {
    const { structured } = await client.call('send_message', { message: 'Hi.', tag })
    expect(structured.error).toMatchObject({ code: 'invalid_input', details: { fields: ['tag'] } })
  })
})
