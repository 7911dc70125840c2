/** What once passed a limit: the smallest case of each, and what holds it now. */

import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { LedgerRow } from '../../src/repositories/index.ts'
import { describeDatabases } from '../support/databases.ts'
import { PATIENCE } from '../support/patience.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../support/start-app.ts'

const ALL_DAYS = { from: '2000-01-01', to: '2999-12-31' }

describeDatabases('a limit holds', (kind) => {
  let app: TestApp
  let user: TestUser
  let client: TestClient

  beforeAll(async () => {
    app = await startApp({ kind, env: { UNPRICED_MODELS: 'refuse' } })
  })
  afterAll(() => app.close())
  beforeEach(async () => {
    app.claude.reset()
    user = await app.register()
    client = await app.connect('legacy', user.accessToken)
  })

  const limit = (limit_usd: number) => client.call('set_budget', { period: 'day', limit_usd })
  const send = async (args: Record<string, unknown>) =>
    (await client.call('send_message', args)).structured
  const rows = async (): Promise<LedgerRow[]> =>
    (await app.app.repositories.ledger.list(ALL_DAYS, '0', 10_000)).filter(
      ({ userId }) => userId === user.userId,
    )
  const booked = async () =>
    (await rows()).reduce((sum, { costNanoUsd }) => sum + Number(costNanoUsd), 0)
  const counts = () => app.claude.journal.filter(({ path }) => path.endsWith('/count_tokens'))

  test('when answers are cancelled while their model thinks', async () => {
    await limit(0.05)
    app.claude.setReply({ text: 'Done.', thinks: { tokens: 3000, ms: 6000 } })
    const ends: string[] = []
    while (ends.at(-1) !== 'budget_exceeded' && ends.length < 100) {
      const { data, error } = await send({ message: 'Think.', max_tokens: 2000, wait_seconds: 0 })
      ends.push(error?.code ?? data.status)
      if (error) continue
      await vi.waitUntil(() => app.claude.billed(user.apiKey).calls === ends.length, PATIENCE)
      await client.call('cancel_message', { message_id: data.message_id })
    }
    await vi.waitUntil(() => app.claude.openStreams() === 0, PATIENCE)
    expect(ends.at(-1)).toBe('budget_exceeded')
    const { nanoUsd } = app.claude.billed(user.apiKey)
    expect(nanoUsd).toBeGreaterThan(0)
    expect(await booked()).toBeGreaterThanOrEqual(nanoUsd)
    expect(await booked()).toBeLessThanOrEqual(0.05e9)
  })

  test.each([
    'anthropic/claude-sonnet-5-5',
    'claude-sonnet-5.5',
    'claude-sonnet-5-5@default',
    '',
    null,
  ])('when answers call their model %o', async (calledModel) => {
    await limit(0.02)
    app.claude.setReply({ text: 'word'.repeat(500), calledModel })
    const codes: (string | undefined)[] = []
    while (codes.at(-1) !== 'budget_exceeded' && codes.length < 20) {
      codes.push((await send({ message: 'Hello.', max_tokens: 600 })).error?.code)
    }
    expect(codes.at(-1)).toBe('budget_exceeded')
    expect(codes).not.toContain('internal')
    const { nanoUsd } = app.claude.billed(user.apiKey)
    expect(nanoUsd).toBeLessThanOrEqual(0.02e9)
    expect(await booked()).toBe(nanoUsd)
    const name = calledModel || 'claude-sonnet-5-5'
    for (const row of await rows()) expect(row).toMatchObject({ model: name, estimated: null })
  })

  test('when a prompt is estimated below a price band and is above it', async () => {
    await limit(0.055)
    const message = 'x'.repeat(99_990)
    app.claude.setReply({ text: 'Yes.', inputDensity: 4 })
    const { error } = await send({ message, model: 'claude-haiku-5-5', max_tokens: 16 })
    expect(error).toMatchObject({ code: 'budget_exceeded' })
    expect(app.claude.billed(user.apiKey).calls).toBe(0)
    await limit(0.07)
    const { data } = await send({ message, model: 'claude-haiku-5-5', max_tokens: 16 })
    expect(data).toMatchObject({ status: 'complete' })
    expect(await booked()).toBe(app.claude.billed(user.apiKey).nanoUsd)
    expect(await booked()).toBeGreaterThan(0.05e9)
  })

  test('when a text has a token for each byte', async () => {
    await limit(0.1)
    app.claude.setReply({ text: 'Yes.', inputDensity: 4 })
    const message = 'x'.repeat(90_000)
    expect((await send({ message, max_tokens: 16 })).error).toMatchObject({
      code: 'budget_exceeded',
    })
    expect(app.claude.billed(user.apiKey).calls).toBe(0)
  })

  test('when the model runs where it costs more', async () => {
    app.claude.setReply({ text: 'Yes.', geo: 'us' })
    for (const model of ['claude-sonnet-5-5', 'claude-opus-4-6', 'claude-haiku-4-5']) {
      await send({ message: 'Where are you?', model })
    }
    const all = await rows()
    expect(all.map(({ unitPrices }) => unitPrices?.input)).toEqual([2200, 5500, 1000])
    expect(await booked()).toBeCloseTo(app.claude.billed(user.apiKey).nanoUsd, 3)
    expect(all.every(({ estimated }) => estimated === null)).toBe(true)
  })

  test('and a text of many bytes is let in by a count, which is asked for only then', async () => {
    const message = 'word'.repeat(20_000)
    await send({ message, max_tokens: 16 })
    await limit(10)
    await send({ message, max_tokens: 16 })
    expect(counts()).toHaveLength(0)
    const spent = (await booked()) / 1e9
    // Room for its 20,000 tokens, not for its 80,000 bytes.
    await limit(spent + 0.08)
    expect((await send({ message, max_tokens: 16 })).data).toMatchObject({ status: 'complete' })
    expect(counts()).toHaveLength(1)
  })

  test('and without a count it stays with the bytes', async () => {
    const message = 'word'.repeat(20_000)
    await limit(0.08)
    app.claude.script({ kind: 'status', status: 529, on: 'count_tokens' })
    expect((await send({ message, max_tokens: 16 })).error).toMatchObject({
      code: 'budget_exceeded',
    })
    expect(app.claude.billed(user.apiKey).calls).toBe(0)
  })

  test('when a request is lost after it was sent: it is not sent again', async () => {
    await limit(1)
    app.claude.script({ kind: 'drop_before_headers', billed: true })
    const { error } = await send({ message: 'Are you there?' })
    expect(error).toMatchObject({ code: 'upstream_unavailable', retryable: true })
    expect(app.claude.messageRequests()).toHaveLength(1)
    expect(await booked()).toBeGreaterThanOrEqual(app.claude.billed(user.apiKey).nanoUsd)
  })

  test('without a limit a lost request is sent again, and both are booked', async () => {
    app.claude.script({ kind: 'drop_before_headers', billed: true })
    const { data } = await send({ message: 'Are you there?' })
    expect(data).toMatchObject({ status: 'complete' })
    expect(data.warnings.join()).toContain('may bill both')
    expect(app.claude.billed(user.apiKey).calls).toBe(2)
    expect(await rows()).toMatchObject([{ estimated: 'sent_twice' }])
    expect(await booked()).toBeGreaterThanOrEqual(app.claude.billed(user.apiKey).nanoUsd)
  })

  test('and all of it adds up', async () => {
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })
})
