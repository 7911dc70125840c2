import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDatabases } from '../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../support/start-app.ts'

describeDatabases('answers that outlive the call', (kind) => {
  let app: TestApp
  let user: TestUser
  let client: TestClient

  beforeAll(async () => {
    app = await startApp({ kind, claude: { chunkDelayMs: 40, chunkSize: 4 } })
    user = await app.register()
    client = await app.connect('legacy', user.accessToken)
  })
  afterAll(() => app.close())

  const slowText = 'word '.repeat(40).trim()

  test('running after wait_seconds, collected by get_message, charged once', async () => {
    const sent = await client.call('send_message', { message: slowText, wait_seconds: 0 })
    expect(sent.structured.data).toMatchObject({ status: 'running', usage: null })
    const { message_id } = sent.structured.data
    const peek = await client.call('get_message', { message_id, wait_seconds: 0.3 })
    expect(peek.structured.data.status).toBe('running')
    expect(slowText.startsWith(peek.structured.data.content)).toBe(true)
    const got = await client.call('get_message', { message_id, wait_seconds: 60 })
    expect(got.structured.data).toMatchObject({ status: 'complete', content: slowText })
    const usage = await client.call('get_usage')
    expect(usage.structured.data.total.calls).toBe(1)
    const budget = await client.call('get_budget')
    expect(budget.structured.data.budgets[0]).toMatchObject({ reserved_tokens: 0 })
  })

  test('cancel_message keeps the partial text and books it', async () => {
    const sent = await client.call('send_message', { message: slowText, wait_seconds: 0.5 })
    const { message_id, conversation_id } = sent.structured.data
    const cancelled = await client.call('cancel_message', { message_id })
    expect(cancelled.structured.data).toMatchObject({
      status: 'cancelled',
      error_code: 'cancelled',
    })
    expect(cancelled.structured.data.content.length).toBeGreaterThan(0)
    const again = await client.call('send_message', { message: 'ok', conversation_id })
    expect(again.structured.data.status).toBe('complete')
    const usage = await client.call('get_usage', { group_by: 'model' })
    expect(usage.structured.data.rows[0]).toMatchObject({ estimated_calls: 1, calls: 3 })
  })

  test('the same idempotency key joins the running answer', async () => {
    const args = { message: slowText, idempotency_key: 'join-me' }
    const [first, second] = await Promise.all([
      client.call('send_message', args),
      client.call('send_message', args),
    ])
    expect([first.structured.data.replayed, second.structured.data.replayed].sort()).toEqual([
      false,
      true,
    ])
    expect(second.structured.data.content).toBe(slowText)
    expect(second.structured.data.message_id).toBe(first.structured.data.message_id)
  })

  test('a budget lowers max_tokens, then refuses, and says when it resets', async () => {
    await client.call('set_budget', { period: 'day', limit_tokens: 2000 })
    const lowered = await client.call('send_message', { message: 'short' })
    expect(lowered.structured.data.warnings.join()).toMatch(/max_tokens was lowered/)
    await client.call('set_budget', { period: 'day', limit_tokens: 200 })
    const refused = await client.call('send_message', { message: 'short' })
    expect(refused.structured.error).toMatchObject({ code: 'budget_exceeded' })
    expect(refused.structured.error.details.resets_at).toMatch(/T00:00:00.000Z$/)
    await client.call('set_budget', { period: 'day', reset: true })
    expect((await client.call('send_message', { message: 'short' })).isError).toBe(false)
  })

  test('the ledger verifies', async () => {
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })
})
