/** One row for each billed call, every class of token at its own price, estimates marked as such. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { LedgerRow } from '../../src/repositories/index.ts'
import { describeDatabases } from '../support/databases.ts'
import { PATIENCE } from '../support/patience.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../support/start-app.ts'
import { startSecondReplica } from './second-replica.ts'

const ALL_DAYS = { from: '2000-01-01', to: '2999-12-31' }
/** USD per million tokens. */
const OVERRIDE = {
  model: 'claude-sonnet-4-6',
  input: 7,
  output: 11,
  cache_write_5m: 13,
  cache_write_1h: 17,
  cache_read: 0.019,
}
/** Four bytes are one token; every message costs 3 more. */
const tokens = (count: number) => 'four'.repeat(count)

describeDatabases('the ledger', (kind) => {
  let app: TestApp
  let user: TestUser
  let client: TestClient
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gateway-prices-'))
    const PRICES_FILE = join(folder, 'prices.json')
    await writeFile(PRICES_FILE, JSON.stringify([OVERRIDE]))
    app = await startApp({
      kind,
      env: { PRICES_FILE },
      claude: { chunkSize: 8 },
    })
  })
  beforeEach(async () => {
    app.claude.reset()
    user = await app.register()
    client = await app.connect('legacy', user.accessToken)
  })
  afterAll(async () => {
    await app.close()
    await rm(folder, { recursive: true })
  })

  const send = async (args: Record<string, unknown>) =>
    (await client.call('send_message', args)).structured
  const rows = async (): Promise<LedgerRow[]> => {
    const all = await app.app.repositories.ledger.list(ALL_DAYS, '0', 10_000)
    return all.filter(({ userId }) => userId === user.userId)
  }
  const onlyRow = async () => {
    const all = await rows()
    expect(all).toHaveLength(1)
    return all[0]
  }
  const stall = async (args: Record<string, unknown>, afterChunks: number, by = client) => {
    app.claude.script({ kind: 'stream_stall', afterChunks, pingEveryMs: 100 })
    const running = await by.call('send_message', { ...args, wait_seconds: 0 })
    await vi.waitUntil(() => app.claude.openStreams() === 1, PATIENCE)
    return running.structured.data
  }

  const NO_CACHE = { cacheWrite5mTokens: 0, cacheWrite1hTokens: 0, cacheReadTokens: 0 }
  const SONNET = {
    input: 2000,
    output: 10_000,
    cacheWrite5m: 2500,
    cacheWrite1h: 4000,
    cacheRead: 100,
  }

  test('names user, conversation, message, model, tag and Anthropic’s request', async () => {
    const { data } = await send({ message: tokens(10), tag: 'build' })
    expect(await onlyRow()).toMatchObject({
      id: expect.any(String),
      userId: user.userId,
      username: user.username,
      conversationId: data.conversation_id,
      messageId: data.message_id,
      model: 'claude-sonnet-5-5',
      inputTokens: 13,
      ...NO_CACHE,
      outputTokens: 10,
      thinkingTokens: 0,
      unitPrices: SONNET,
      costNanoUsd: BigInt(13 * 2000 + 10 * 10_000),
      estimated: null,
      requestId: data.request_id,
      createdAt: expect.any(Date),
      tag: 'build',
      bookedOn: new Date().toISOString().slice(0, 10),
      ownerId: null,
      sessionId: decodeJwt(user.accessToken).jti,
    })
    expect(data.request_id).toMatch(/^req_/)
  })

  test('writes to the cache and reads from it, each at its price', async () => {
    app.claude.setReply({ text: tokens(1) })
    const { data } = await send({ message: tokens(1200) })
    for (const message of [tokens(1), tokens(2)]) {
      await send({ message, conversation_id: data.conversation_id })
    }
    const all = await rows()
    expect(all).toMatchObject([
      { inputTokens: 1203, ...NO_CACHE },
      { inputTokens: 3, cacheWrite5mTokens: 1208, cacheReadTokens: 0 },
      { inputTokens: 3, cacheWrite5mTokens: 9, cacheReadTokens: 1208 },
    ])
    expect(all.map(({ costNanoUsd }) => Number(costNanoUsd))).toEqual([
      1203 * 2000 + 10_000,
      3 * 2000 + 1208 * 2500 + 10_000,
      3 * 2000 + 9 * 2500 + 1208 * 100 + 10_000,
    ])
    expect(app.claude.billed(user.apiKey)).toMatchObject({
      calls: 3,
      inputTokens: 1209,
      cacheCreationInputTokens: 1217,
      cacheReadInputTokens: 1208,
      outputTokens: 3,
    })
  })

  test.each([
    [{ ephemeral_5m_input_tokens: 5, ephemeral_1h_input_tokens: 7 }, 5, 7],
    [{ ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 12 }, 0, 12],
    [null, 12, 0],
  ])('writes for an hour are told apart: %o', async (cache_creation, for5m, for1h) => {
    const input = { input_tokens: 2, cache_creation_input_tokens: 12, cache_read_input_tokens: 3 }
    scriptEvents(
      app,
      'claude-sonnet-5-5',
      { ...input, cache_creation, output_tokens: 1 },
      {
        ...input,
        output_tokens: 4,
      },
    )
    await send({ message: 'Hello.' })
    expect(await onlyRow()).toMatchObject({
      inputTokens: 2,
      cacheWrite5mTokens: for5m,
      cacheWrite1hTokens: for1h,
      cacheReadTokens: 3,
      outputTokens: 4,
      costNanoUsd: BigInt(2 * 2000 + for5m * 2500 + for1h * 4000 + 3 * 100 + 4 * 10_000),
    })
  })

  test('thinking is part of the output and not charged again', async () => {
    await send({ message: tokens(10), model: 'claude-opus-5-5', thinking: 'adaptive' })
    expect(await onlyRow()).toMatchObject({
      outputTokens: 18,
      thinkingTokens: 8,
      costNanoUsd: BigInt(13 * 4000 + 18 * 20_000),
    })
  })

  test('a long prompt is charged by its band, output included', async () => {
    app.claude.setReply({ text: tokens(5) })
    const model = 'claude-haiku-5-5'
    await send({ model, message: tokens(99_997) })
    await send({ model, message: tokens(99_998) })
    const [low, high] = await rows()
    const output = 5 + 8
    expect(low).toMatchObject({
      inputTokens: 100_000,
      unitPrices: { input: 100, output: 500 },
      costNanoUsd: BigInt(100_000 * 100 + output * 500),
    })
    expect(high).toMatchObject({
      inputTokens: 100_001,
      unitPrices: { input: 500, output: 2500 },
      costNanoUsd: BigInt(100_001 * 500 + output * 2500),
    })
  })

  test('the operator’s prices replace the built-in ones; a name without any costs what was asked', async () => {
    await send({ message: tokens(10), model: 'claude-sonnet-4-6' })
    scriptEvents(app, 'claude-next-9', { input_tokens: 5, output_tokens: 1 }, { output_tokens: 2 })
    await send({ message: tokens(10) })
    const [overridden, unknown] = await rows()
    expect(overridden).toMatchObject({
      unitPrices: {
        input: 7000,
        output: 11_000,
        cacheWrite5m: 13_000,
        cacheWrite1h: 17_000,
        cacheRead: 19,
      },
      costNanoUsd: BigInt(13 * 7000 + 10 * 11_000),
    })
    expect(unknown).toMatchObject({
      model: 'claude-next-9',
      inputTokens: 5,
      outputTokens: 2,
      unitPrices: SONNET,
      costNanoUsd: BigInt(5 * 2000 + 2 * 10_000),
      estimated: null,
    })
  })

  test('a refusal before any output is free, one in the middle is not', async () => {
    app.claude.setReply({ refusalCategory: 'cyber' })
    expect((await send({ message: tokens(10) })).data).toMatchObject({ refused: true, cost_usd: 0 })
    expect(await rows()).toEqual([])
    app.claude.setReply({ refusalCategory: 'cyber', text: tokens(2) })
    expect((await send({ message: tokens(10) })).data).toMatchObject({ refused: true })
    expect(await onlyRow()).toMatchObject({ inputTokens: 13, outputTokens: 2, estimated: null })
  })

  test('what Anthropic answered with an error is not booked', async () => {
    app.claude.script({ kind: 'status', status: 400 })
    await send({ message: 'One.' })
    const now = { headers: { 'retry-after-ms': '1' } }
    for (const status of [529, 500]) app.claude.script({ kind: 'status', status, ...now })
    await send({ message: 'Two.' })
    expect(app.claude.messageRequests()).toHaveLength(3)
    expect(await rows()).toEqual([])
  })

  test('a broken answer: its exact input, and the output that time and max_tokens allow', async () => {
    app.claude.script({ kind: 'stream_drop', afterChunks: 3 })
    await send({ message: tokens(10) })
    app.claude.script({ kind: 'stream_end', afterChunks: 10 })
    await send({ message: tokens(100), max_tokens: 20 })
    const broken = { ...NO_CACHE, estimated: 'stream_broken', requestId: expect.any(String) }
    const all = await rows()
    expect(all).toMatchObject([
      { ...broken, inputTokens: 13 },
      { ...broken, inputTokens: 103, outputTokens: 20, costNanoUsd: BigInt(103 * 2000 + 200_000) },
    ])
    // A token a millisecond, and 50 ms passed before the cut.
    expect(all[0]?.outputTokens).toBeGreaterThanOrEqual(50)
  })

  test('a cancelled answer, whether it had begun or not', async () => {
    const begun = await stall({ message: tokens(10) }, 2)
    await vi.waitUntil(() => app.claude.billed(user.apiKey).outputTokens === 4, PATIENCE)
    await vi.waitUntil(
      async () =>
        (await client.call('get_message', { message_id: begun.message_id, wait_seconds: 0 }))
          .structured.data.content.length === 16,
      PATIENCE,
    )
    await client.call('cancel_message', { message_id: begun.message_id })
    app.claude.script({ kind: 'delay', delayMs: 5000 })
    const asked = (await send({ message: tokens(10), wait_seconds: 0 })).data
    await vi.waitUntil(() => app.claude.messageRequests().length === 2, PATIENCE)
    await client.call('cancel_message', { message_id: asked.message_id })
    const [first, second] = await rows()
    expect(first).toMatchObject({ messageId: begun.message_id, inputTokens: 13 })
    // Nobody has counted it: 40 bytes, and what may be around them.
    expect(second).toMatchObject({ messageId: asked.message_id, inputTokens: 40 + 16 + 64 })
    for (const row of [first, second]) {
      expect(row?.estimated).toBe('stream_cancelled')
      expect(row?.outputTokens).toBeGreaterThanOrEqual(16)
      expect(row?.outputTokens).toBeLessThanOrEqual(4096)
    }
  })

  const onPostgresql = kind === 'postgresql' ? test : () => {}
  onPostgresql('an answer that its gateway’s stop interrupted', async () => {
    const second = await startSecondReplica(app)
    const there = await second.connect('legacy', user.accessToken)
    const { message_id } = await stall({ message: tokens(10), tag: 'stopped' }, 0, there)
    await second.close()
    const { structured } = await client.call('get_message', { message_id })
    expect(structured.data).toMatchObject({ status: 'interrupted', error_code: 'interrupted' })
    expect(await onlyRow()).toMatchObject({
      messageId: message_id,
      tag: 'stopped',
      inputTokens: 13,
      estimated: 'stream_cancelled',
    })
  })

  test('all of it adds up', async () => {
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })
})

test('a silent answer is booked as an estimate, whether it had begun or not', async () => {
  const app = await startApp({
    kind: 'embedded',
    env: { UPSTREAM_FIRST_TOKEN_SECONDS: '1', UPSTREAM_IDLE_SECONDS: '1' },
    claude: { chunkSize: 8 },
  })
  const { accessToken } = await app.register()
  const client = await app.connect('legacy', accessToken)
  app.claude.script({ kind: 'stream_stall', afterChunks: 1 }, { kind: 'delay', delayMs: 60_000 })
  for (const tag of ['begun', 'asked']) {
    const { structured } = await client.call('send_message', { message: tokens(10), tag })
    expect(structured.error.code).toBe('upstream_timeout')
  }
  expect(await app.app.repositories.ledger.list(ALL_DAYS, '0', 10)).toMatchObject([
    { tag: 'begun', inputTokens: 13, estimated: 'stream_timed_out' },
    { tag: 'asked', inputTokens: 40 + 16 + 64, estimated: 'stream_timed_out' },
  ])
  // A second of silence, in which a model may have thought.
  for (const row of await app.app.repositories.ledger.list(ALL_DAYS, '0', 10)) {
    expect(row.outputTokens).toBeGreaterThanOrEqual(1000)
  }
  expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  await app.close()
})

/** An answer of one word with the usage that its first and its last event are to report. */
function scriptEvents(app: TestApp, model: string, first: object, last: object): void {
  const events = [
    { type: 'message_start', message: { model, content: [], usage: first } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi!' } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: last },
    { type: 'message_stop' },
  ]
  const body = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  const headers = { 'content-type': 'text/event-stream' }
  app.claude.script({ kind: 'raw', status: 200, body: body.join(''), headers })
}
