/** get_budget and set_budget, and what a budget does to a call. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeDatabases } from '../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../support/start-app.ts'

/** Neither the price table nor the stand-in knows it. */
const UNPRICED = 'claude-next-9'

/** Four bytes are one token; the stand-in counts three more for a message. */
const tokens = (count: number) => 'four'.repeat(count)

describeDatabases('budgets', (kind) => {
  let app: TestApp
  let boss: TestClient

  beforeAll(async () => {
    app = await startApp({
      kind,
      env: {
        ADMIN_USERNAMES: 'Boss',
        BUDGET_USD_PER_DAY: '0.5',
        BUDGET_TOKENS_PER_DAY: '50000',
        BUDGET_USD_PER_MONTH: '20.000000001',
      },
      claude: { chunkSize: 8 },
    })
    boss = await app.connect('modern', (await app.register('boss')).accessToken)
  })
  afterAll(() => app.close())

  async function newcomer(): Promise<{ user: TestUser; client: TestClient }> {
    const user = await app.register()
    return { user, client: await app.connect('legacy', user.accessToken) }
  }
  const data = async (client: TestClient, tool: string, args: Record<string, unknown> = {}) => {
    const { isError, structured, text } = await client.call(tool, args)
    expect(isError, text).toBe(false)
    return structured.data
  }
  const failure = async (client: TestClient, tool: string, args: Record<string, unknown>) =>
    (await client.call(tool, args)).structured.error

  test('everybody begins with the defaults of the environment', async () => {
    const { client } = await newcomer()
    const { budgets } = await data(client, 'get_budget')
    const none = { spent_usd: 0, spent_tokens: 0, reserved_usd: 0, reserved_tokens: 0 }
    const [day, month] = budgets
    expect(day).toEqual({
      period: 'day',
      covers: 'own_key',
      limit_usd: 0.5,
      limit_tokens: 50_000,
      ...none,
      remaining_usd: 0.5,
      remaining_tokens: 50_000,
      resets_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT00:00:00\.000Z$/),
    })
    expect(month).toEqual({
      period: 'month',
      covers: 'own_key',
      limit_usd: 20.000000001,
      limit_tokens: null,
      ...none,
      remaining_usd: 20.000000001,
      remaining_tokens: null,
      resets_at: expect.stringMatching(/^\d{4}-\d\d-01T00:00:00\.000Z$/),
    })
    for (const { resets_at } of budgets) expect(Date.parse(resets_at)).toBeGreaterThan(Date.now())
  })

  test('a cap of your own counts where it is lower, and is taken back by a reset', async () => {
    const { client } = await newcomer()
    const set = async (args: Record<string, unknown>) =>
      (await data(client, 'set_budget', { period: 'day', ...args })).budgets[0]
    const given = { limit_usd: 0.5, limit_tokens: 50_000 }
    expect(await set({ limit_usd: 0.25 })).toMatchObject({ ...given, limit_usd: 0.25 })
    expect(await set({ limit_usd: '$0.20' })).toMatchObject({ ...given, limit_usd: 0.2 })
    expect(await set({ limit_usd: 7, limit_tokens: 60_000 })).toMatchObject(given)
    expect(await set({ limit_tokens: 0 })).toMatchObject({ ...given, limit_tokens: 0 })
    expect(await set({ limit_usd: null, limit_tokens: 10 })).toMatchObject({
      ...given,
      limit_tokens: 10,
    })
    expect(await set({ reset: true })).toMatchObject(given)
  })

  test('an admin replaces the default of a user by name, and gives it back', async () => {
    const { user, client } = await newcomer()
    const args = { username: user.username.toUpperCase(), period: 'month' }
    const set = async (limit: Record<string, unknown>) =>
      (await data(boss, 'set_budget', { ...args, ...limit })).budgets[1]
    expect(await set({ limit_usd: 100 })).toMatchObject({ limit_usd: 100, limit_tokens: null })
    expect((await data(client, 'get_budget')).budgets[1].limit_usd).toBe(100)
    await data(client, 'set_budget', { period: 'month', limit_usd: 3 })
    expect((await data(boss, 'get_budget', { username: user.username })).budgets[1].limit_usd).toBe(
      3,
    )
    expect(await set({ limit_usd: null })).toMatchObject({ limit_usd: 3, limit_tokens: null })
    await data(client, 'set_budget', { period: 'month', reset: true })
    expect((await data(client, 'get_budget')).budgets[1].limit_usd).toBeNull()
    expect(await set({ reset: true })).toMatchObject({ limit_usd: 20.000000001 })
    expect((await data(boss, 'get_budget')).budgets[1].limit_usd).toBe(20.000000001)
  })

  test('nobody else may name a user, not even themselves', async () => {
    const { user, client } = await newcomer()
    for (const username of [user.username, 'boss', 'nobody-has-this-name']) {
      const forbidden = expect.objectContaining({ code: 'forbidden', retryable: false })
      expect(await failure(client, 'get_budget', { username })).toEqual(forbidden)
      const raise = { username, period: 'day', limit_usd: 1000 }
      expect(await failure(client, 'set_budget', raise)).toEqual(forbidden)
      const reset = { username, period: 'day', reset: true }
      expect(await failure(client, 'set_budget', reset)).toEqual(forbidden)
    }
    expect((await data(client, 'get_budget')).budgets[0].limit_usd).toBe(0.5)
  })

  test.each([
    ['a limit and a reset at once', { limit_usd: 1, reset: true }, /give no limit with it/],
    ['neither a limit nor a reset', {}, /null for no limit/],
  ])('%s is refused, and changes nothing', async (_what, args, says) => {
    const { client } = await newcomer()
    const refused = await failure(client, 'set_budget', { period: 'day', ...args })
    expect(refused).toMatchObject({ code: 'invalid_input', message: expect.stringMatching(says) })
    expect((await data(client, 'get_budget')).budgets[0].limit_usd).toBe(0.5)
  })

  test('an admin who names nobody there is told so', async () => {
    const username = 'nobody-has-this-name'
    const notFound = { code: 'not_found', details: { field: 'username' } }
    expect(await failure(boss, 'get_budget', { username })).toMatchObject(notFound)
    const args = { username, period: 'day', limit_usd: 1 }
    expect(await failure(boss, 'set_budget', args)).toMatchObject(notFound)
  })

  test.each([
    ['period', { period: 'week', limit_usd: 1 }],
    ['period', { limit_usd: 1 }],
    ['limit_usd', { period: 'day', limit_usd: -0.01 }],
    ['limit_usd', { period: 'day', limit_usd: 1_000_001 }],
    ['limit_usd', { period: 'day', limit_usd: 'lots' }],
    ['limit_usd', { period: 'day', limit_usd: '$1,000' }],
    ['limit_usd', { period: 'day', limit_usd: '-$5' }],
    ['limit_usd', { period: 'day', limit_usd: '1000001' }],
    ['limit_usd', { period: 'day', limit_usd: '' }],
    ['limit_tokens', { period: 'day', limit_tokens: 0.5 }],
    ['limit_tokens', { period: 'day', limit_tokens: -1 }],
    ['limit_tokens', { period: 'day', limit_tokens: 1e17 }],
  ])('a wrong %s is refused: %o', async (field, args) => {
    expect(await failure(boss, 'set_budget', args)).toMatchObject({
      code: 'invalid_input',
      details: { fields: [field] },
    })
  })

  test('a running answer is reserved, not spent; a finished one is spent', async () => {
    const { client } = await newcomer()
    app.claude.script({ kind: 'stream_stall', afterChunks: 1 })
    const running = await data(client, 'send_message', {
      message: tokens(10),
      max_tokens: 1000,
      wait_seconds: 0,
    })
    const during = (await data(client, 'get_budget')).budgets
    for (const budget of during) {
      expect(budget).toMatchObject({ spent_usd: 0, spent_tokens: 0 })
      expect(budget.reserved_tokens).toBeGreaterThanOrEqual(1013)
      // 1000 x 10 USD per million where it is dearest, and the input.
      expect(budget.reserved_usd).toBeGreaterThan(0.011)
      expect(budget.reserved_usd).toBeLessThan(0.012)
      expect(budget.remaining_usd).toBeCloseTo(budget.limit_usd - budget.reserved_usd, 9)
    }
    expect(during[0].remaining_tokens).toBe(50_000 - during[0].reserved_tokens)
    await data(client, 'cancel_message', { message_id: running.message_id })

    await data(client, 'send_message', { message: tokens(10) })
    const [day] = (await data(client, 'get_budget')).budgets
    const usage = await data(client, 'get_usage')
    expect(day).toMatchObject({
      reserved_usd: 0,
      reserved_tokens: 0,
      spent_usd: usage.total.cost_usd,
      spent_tokens: usage.total.input_tokens + usage.total.output_tokens,
    })
    expect(usage.total.calls).toBe(2)
  })

  test('warnings at 75 and 95 %, then a shorter answer, then a refusal until the reset', async () => {
    const { client } = await newcomer()
    await data(client, 'set_budget', { period: 'day', limit_tokens: 4000 })
    const send = (count: number) =>
      data(client, 'send_message', { message: tokens(count), max_tokens: 1600 })
    // Each spends twice its tokens, and 3.
    expect((await send(700)).warnings).toEqual([])
    // Twice its bytes do not fit, but Anthropic's count of it does.
    expect((await send(800)).warnings).toEqual(['You have used 75 % of your budget for this day.'])
    const { warnings, usage } = await send(390)
    expect(usage).toMatchObject({ input_tokens: 393 })
    expect(warnings).toEqual([
      expect.stringMatching(/^max_tokens was lowered from 1600 to \d+: /),
      expect.stringMatching(/^You have used 9\d % of your budget for this day\.$/),
    ])
    const requests = app.claude.messageRequests().length
    const [day] = (await data(client, 'get_budget')).budgets
    const refused = await client.call('send_message', { message: 'More?' })
    expect(refused.isError).toBe(true)
    expect(refused.structured.error).toEqual({
      code: 'budget_exceeded',
      message: `This call does not fit into what is left of your own limit for this day. It resets at ${day.resets_at}; claude-api-gateway_set_budget changes it.`,
      retryable: false,
      retry_after_seconds: expect.any(Number),
      details: { period: 'day', resets_at: day.resets_at },
    })
    const { retry_after_seconds } = refused.structured.error
    const untilReset = (Date.parse(day.resets_at) - Date.now()) / 1000
    expect(Math.abs(retry_after_seconds - untilReset)).toBeLessThan(60)
    expect(app.claude.messageRequests()).toHaveLength(requests)
    const history = await client.call('get_conversations', {})
    expect(history.structured.total).toBe(3)
  })

  test('the lowered max_tokens is what Claude is asked for', async () => {
    const { client } = await newcomer()
    await data(client, 'set_budget', { period: 'month', limit_tokens: 1000 })
    app.claude.reset()
    const { warnings } = await data(client, 'send_message', { message: 'Hi.' })
    const [, lowered] = /from 4096 to (\d+):/.exec(warnings.join()) ?? []
    const [sent] = app.claude.messageRequests()
    expect(sent?.json).toHaveProperty('max_tokens', Number(lowered))
    expect(Number(lowered)).toBeLessThan(1000)
  })

  test('a refused repeat costs nothing, and its key is free for another try', async () => {
    const { client } = await newcomer()
    const args = { message: 'Once.', idempotency_key: 'again' }
    await data(client, 'set_budget', { period: 'day', limit_usd: 0, limit_tokens: 0 })
    const refused = await failure(client, 'send_message', args)
    expect(refused).toMatchObject({
      code: 'budget_exceeded',
      message: expect.stringMatching(
        /your own limit for this day\. .*; claude-api-gateway_set_budget changes it\.$/,
      ),
    })
    expect(refused.details).not.toHaveProperty('ask')
    await data(client, 'set_budget', { period: 'day', reset: true })
    expect(await data(client, 'send_message', args)).toMatchObject({ replayed: false })
    await data(client, 'set_budget', { period: 'day', limit_usd: 0 })
    expect(await data(client, 'send_message', args)).toMatchObject({ replayed: true })
  })

  test('a model without a price is refused under a budget in USD', async () => {
    const { user, client } = await newcomer()
    const args = { message: 'Hello.', model: UNPRICED }
    const refused = await failure(client, 'send_message', args)
    expect(refused).toMatchObject({ code: 'model_price_unknown', retryable: false })
    for (const period of ['day', 'month']) {
      await data(boss, 'set_budget', { username: user.username, period, limit_tokens: 9000 })
    }
    expect(await failure(client, 'send_message', args)).toMatchObject({
      code: 'model_not_available',
    })
  })

  test('settled by the answer itself: no later sum is needed', async () => {
    await expect.poll(() => app.app.services.running.ids).toEqual([])
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })
})

describe('without a budget', () => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind: 'embedded', env: { UNPRICED_MODELS: 'allow' } })
  })
  afterAll(() => app.close())

  test('there is no limit, and an unpriced model may be used under one in USD', async () => {
    const { accessToken } = await app.register()
    const client = await app.connect('legacy', accessToken)
    const { structured } = await client.call('get_budget')
    for (const budget of structured.data.budgets) {
      expect(budget).toMatchObject({
        limit_usd: null,
        limit_tokens: null,
        remaining_usd: null,
        remaining_tokens: null,
      })
    }
    await client.call('set_budget', { period: 'day', limit_usd: 1 })
    const allowed = await client.call('send_message', { message: 'Hello.', model: UNPRICED })
    expect(allowed.structured.error.code).toBe('model_not_available')
    await client.call('set_budget', { period: 'day', limit_usd: 0 })
    const broke = await client.call('send_message', { message: 'Hello.' })
    expect(broke.structured.error.code).toBe('budget_exceeded')
  })
})
