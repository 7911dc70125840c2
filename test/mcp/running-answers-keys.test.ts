/** One idempotency key, one call to Claude, one charge. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDatabases } from '../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../support/start-app.ts'

const slowText = (name: string) => `${name} ${'word '.repeat(30)}`.trim()

describeDatabases('an idempotency key', (kind) => {
  let app: TestApp
  let user: TestUser
  let client: TestClient

  beforeAll(async () => {
    app = await startApp({ kind, claude: { chunkDelayMs: 40, chunkSize: 4 } })
    user = await app.register()
    client = await app.connect('legacy', user.accessToken)
  })
  afterAll(() => app?.close())

  const askedFor = (text: string) =>
    app.claude.messageRequests().filter(({ body }) => body.includes(text)).length
  const send = (args: Record<string, unknown>) => client.call('send_message', args)

  test('brings back the stored result, in the other era too', async () => {
    const args = { message: 'stored', idempotency_key: randomUUID(), tag: 'stored' }
    const { replayed, ...answer } = (await send(args)).structured.data
    expect([replayed, answer.content]).toEqual([false, 'stored'])
    const modern = await app.connect('modern', user.accessToken)
    for (const repeat of [client, modern]) {
      const again = await repeat.call('send_message', args)
      expect(again.structured.data).toEqual({ ...answer, replayed: true })
    }
    expect(askedFor('stored')).toBe(1)
    const usage = await client.call('get_usage', { group_by: 'tag' })
    expect(usage.structured.data.rows).toEqual([expect.objectContaining({ calls: 1 })])
  })

  test('may be waited for differently: that is not the message', async () => {
    const args = { message: slowText('waited'), idempotency_key: randomUUID() }
    const first = await send({ ...args, wait_seconds: 0 })
    expect(first.structured.data).toMatchObject({ status: 'running', replayed: false })
    const second = await send({ ...args, wait_seconds: 0 })
    expect(second.structured.data).toMatchObject({ status: 'running', replayed: true })
    const third = await send(args)
    expect(third.structured.data).toMatchObject({ status: 'complete', content: args.message })
    expect(askedFor('waited')).toBe(1)
  })

  test('joins the running answer, with its progress; of many at once one calls', async () => {
    const args = { message: slowText('crowd'), idempotency_key: randomUUID() }
    const progress: string[] = []
    const onprogress = ({ message = '' }) => progress.push(message)
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => client.call('send_message', args, { onprogress })),
    )
    const all = answers.map(({ structured }) => structured.data)
    expect(all.filter(({ replayed }) => !replayed)).toHaveLength(1)
    expect(new Set(all.map(({ message_id }) => message_id)).size).toBe(1)
    for (const { content } of all) expect(content).toBe(args.message)
    expect(askedFor('crowd')).toBe(1)
    // More than one caller can have been told.
    expect(progress.length).toBeGreaterThan(new Set(progress).size)
  })

  test.each([
    ['message', { message: 'other' }],
    ['model', { model: 'opus' }],
    ['tag', { tag: 'other' }],
    ['a new field', { max_tokens: 7 }],
  ])('is a conflict with another %s', async (_what, change) => {
    const args = { message: 'first', idempotency_key: randomUUID() }
    await send(args)
    const asked = app.claude.messageRequests().length
    const { error } = (await send({ ...args, ...change })).structured
    expect(error).toMatchObject({ code: 'idempotency_conflict', retryable: false })
    expect(app.claude.messageRequests().length).toBe(asked)
  })

  test('belongs to its user', async () => {
    const args = { message: 'mine', idempotency_key: 'shared' }
    const mine = (await send(args)).structured.data
    const other = await app.connect('legacy', (await app.register()).accessToken)
    const theirs = (await other.call('send_message', args)).structured.data
    expect(theirs.replayed).toBe(false)
    expect(theirs.message_id).not.toBe(mine.message_id)
  })

  test('has 1 to 128 characters', async () => {
    for (const idempotency_key of ['', 'k'.repeat(129)]) {
      const { error } = (await send({ message: 'never', idempotency_key })).structured
      expect(error).toMatchObject({ details: { fields: ['idempotency_key'] } })
    }
    const longest = await send({ message: 'longest', idempotency_key: 'k'.repeat(128) })
    expect(longest.structured.data.status).toBe('complete')
  })

  test('is free again after a call that cost nothing', async () => {
    app.claude.script({ kind: 'status', status: 400 })
    const args = { message: 'free', idempotency_key: randomUUID() }
    expect((await send(args)).structured.error.code).toBe('upstream_invalid_request')
    const { data } = (await send(args)).structured
    expect(data).toMatchObject({ status: 'complete', replayed: false })
  })

  test('is used up by an answer that broke off: it was billed', async () => {
    app.claude.script({ kind: 'stream_drop', afterChunks: 3 })
    const args = { message: slowText('broken'), idempotency_key: randomUUID(), tag: 'broken' }
    const { error } = (await send(args)).structured
    const repeated = (await send(args)).structured.error
    expect(repeated).toMatchObject({
      ...{ code: error.code, retryable: false },
      details: { message_id: error.details.message_id },
    })
    expect(askedFor('broken')).toBe(1)
    const usage = await client.call('get_usage', { group_by: 'tag' })
    const row = usage.structured.data.rows.find(({ key }: { key: string }) => key === 'broken')
    expect(row).toMatchObject({ calls: 1, estimated_calls: 1 })
  })

  test('nothing drifts, and nothing stays reserved', async () => {
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
    const { budgets } = (await client.call('get_budget')).structured.data
    for (const { reserved_tokens } of budgets) expect(reserved_tokens).toBe(0)
  })
})
