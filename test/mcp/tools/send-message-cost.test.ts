/** usage and cost_usd, against figures worked out by hand from the stand-in's way of counting. */

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'

let app: TestApp
let user: TestUser
let client: TestClient
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
  user = await app.register()
  client = await app.connect('legacy', user.accessToken)
})
beforeEach(() => app.claude.reset())
afterAll(() => app.close())

const send = async (args: Record<string, unknown>) =>
  (await client.call('send_message', args)).structured.data

/** Four bytes are one token; every message costs 3 more. */
const tokens = (count: number) => 'four'.repeat(count)

test('three turns: paid in full, then written to the cache, then read from it', async () => {
  app.claude.setReply({ text: tokens(1) })
  const first = await send({ message: tokens(1200) })
  // 1203 x 2 + 1 x 10 USD per million.
  expect(first).toMatchObject({
    usage: {
      input_tokens: 1203,
      output_tokens: 1,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
    },
    cost_usd: 0.002416,
  })

  const { conversation_id } = first
  const second = await send({ message: tokens(1), conversation_id })
  // Prompt 1203 + 4 + 4, all but the last 3 written: 3 x 2 + 1208 x 2.5 + 1 x 10.
  expect(second).toMatchObject({
    usage: {
      input_tokens: 1211,
      output_tokens: 1,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 1208,
    },
    cost_usd: 0.003036,
  })

  const third = await send({ message: tokens(1), conversation_id })
  // 3 x 2 + 8 x 2.5 + 1208 x 0.1 + 1 x 10.
  expect(third).toMatchObject({
    usage: {
      input_tokens: 1219,
      output_tokens: 1,
      cache_read_input_tokens: 1208,
      cache_creation_input_tokens: 8,
    },
    cost_usd: 0.0001568,
  })
  expect(
    app.claude.messageRequests().map(({ json }) => (json as Record<string, unknown>).cache_control),
  ).toEqual([undefined, { type: 'ephemeral' }, { type: 'ephemeral' }])
})

test.each([
  ['claude-sonnet-4-6', 10, 5, 0.000114], // 13 x 3 + 5 x 15
  ['claude-opus-5-5', 10, 5, 0.000312], // 13 x 4 + (5 + 8 of thought) x 20
  ['claude-haiku-4-5', 10, 5, 0.000038], // 13 x 1 + 5 x 5
  ['claude-haiku-5-5', 10, 5, 0.0000078], // 13 x 0.1 + (5 + 8 of thought) x 0.5
  ['claude-haiku-5-5', 100_100, 5, 0.050084], // 100103 x 0.5 + (5 + 8 of thought) x 2.5
])('%s, %d tokens in and %d out', async (model, tokensIn, tokensOut, costUsd) => {
  app.claude.setReply({ text: tokens(tokensOut) })
  const { usage, cost_usd } = await send({ model, message: tokens(tokensIn) })
  expect(usage.input_tokens).toBe(tokensIn + 3)
  expect(cost_usd).toBe(costUsd)
})

test('a model that answers by a name without a price costs what was asked for', async () => {
  const events = [
    {
      type: 'message_start',
      message: {
        model: 'claude-next-9',
        content: [],
        usage: { input_tokens: 5, output_tokens: 1 },
      },
    },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: 'Hi' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: '!' } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } },
    { type: 'message_stop' },
  ]
  const body = events
    .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    .join('')
  const headers = { 'content-type': 'text/event-stream' }
  app.claude.script({ kind: 'raw', status: 200, body, headers })
  const data = await send({ message: 'Hello.' })
  expect(data).toMatchObject({
    model: 'claude-next-9',
    usage: { input_tokens: 5, output_tokens: 1 },
    cost_usd: (5 * 2000 + 10_000) / 1e9,
  })
})

test('a refusal before any output is free, one in the middle is not', async () => {
  app.claude.setReply({ refusalCategory: 'cyber' })
  expect(await send({ message: tokens(10) })).toMatchObject({
    usage: { input_tokens: 0, output_tokens: 0 },
    cost_usd: 0,
  })
  app.claude.setReply({ refusalCategory: 'cyber', text: tokens(2) })
  // 13 x 2 + 2 x 10.
  expect(await send({ message: tokens(10) })).toMatchObject({
    usage: { input_tokens: 13, output_tokens: 2 },
    cost_usd: 0.000046,
  })
})

test('what callers were told adds up to what Anthropic billed', async () => {
  const { conversation_id, ...first } = await send({ message: tokens(2000) })
  const others = []
  for (const message of ['Go on.', 'And then?', 'The end?']) {
    others.push(await send({ message, conversation_id }))
  }
  const told = [first, ...others].map(({ usage, cost_usd: cost }) => ({ ...usage, cost }))
  const sum = (field: string) => told.reduce((total, usage) => total + usage[field], 0)
  const [read, written] = [sum('cache_read_input_tokens'), sum('cache_creation_input_tokens')]
  expect(read).toBeGreaterThan(0)
  expect(app.claude.billed(user.apiKey)).toEqual({
    calls: 4,
    inputTokens: sum('input_tokens') - read - written,
    cacheReadInputTokens: read,
    cacheCreationInputTokens: written,
    outputTokens: sum('output_tokens'),
    nanoUsd: expect.closeTo(told.reduce((total, { cost }) => total + cost, 0) * 1e9, 0),
  })
})
