/** What Anthropic can answer instead of an answer, and what the caller is told of it. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../../src/errors.ts'
import type { Fault } from '../../support/claude-stand-in/faults.ts'
import { startApp, type TestApp, type TestClient } from '../../support/start-app.ts'

let app: TestApp
let client: TestClient
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
  const { accessToken } = await app.register()
  client = await app.connect('modern', accessToken)
})
beforeEach(() => app.claude.reset())
afterAll(() => app.close())

const UUID = expect.stringMatching(/^[0-9a-f-]{36}$/)
const REQUEST_ID = expect.stringMatching(/^req_/)

const send = async (args: Record<string, unknown> = {}) =>
  (await client.call('send_message', { message: 'Hello.', ...args })).structured
const status = (code: number, more: Partial<Extract<Fault, { kind: 'status' }>> = {}): Fault => ({
  kind: 'status',
  status: code,
  ...more,
})
const historyOf = async (conversation_id: string) =>
  (await client.call('get_conversation_history', { conversation_id })).structured.messages

type Row = { faults: Fault[]; code: ErrorCode; retryable?: boolean; tries?: number }
const spent = { error_code: 'enforced_spend_limit_reached' }
const limits = 'You have reached your specified API usage limits. Regain access on 2026-12-01.'
const retried = { retryable: true, tries: 2 }

const ANSWERED: Record<string, Row> = {
  'an invalid request': { faults: [status(400)], code: 'upstream_invalid_request' },
  'a prompt that is too long': {
    faults: [status(400, { message: 'prompt is too long: 1000001 tokens > 1000000 maximum' })],
    code: 'context_too_long',
  },
  'a spend limit': { faults: [status(400, { message: limits })], code: 'spend_limit' },
  'no credit': {
    faults: [status(400, { message: 'Your credit balance is too low to access the API.' })],
    code: 'upstream_billing',
  },
  'a rejected key': { faults: [status(401)], code: 'upstream_key_rejected' },
  'a payment problem': { faults: [status(402)], code: 'upstream_billing' },
  'a forbidden model': { faults: [status(403)], code: 'upstream_forbidden' },
  'no such model': { faults: [status(404)], code: 'model_not_available' },
  'a request timeout': {
    faults: [status(408), status(408)],
    code: 'upstream_unavailable',
    ...retried,
  },
  'a conflict': { faults: [status(409), status(409)], code: 'upstream_conflict', ...retried },
  'a request too large': { faults: [status(413)], code: 'request_too_large' },
  'another conflict': { faults: [status(422)], code: 'upstream_conflict', retryable: true },
  'a rate limit': {
    faults: [status(429, { retryAfter: 60 })],
    code: 'rate_limited',
    retryable: true,
  },
  'a spent month': { faults: [status(429, { details: spent })], code: 'spend_limit_reached' },
  'an internal error': {
    faults: [status(500), status(500)],
    code: 'upstream_unavailable',
    ...retried,
  },
  'a gateway timeout': {
    faults: [status(504), status(504)],
    code: 'upstream_unavailable',
    ...retried,
  },
  overload: { faults: [status(529), status(529)], code: 'upstream_unavailable', ...retried },
  'an error in the stream': {
    faults: [{ kind: 'stream_error', type: 'overloaded_error', afterChunks: 1 }],
    code: 'upstream_unavailable',
    retryable: true,
  },
  'a rate limit in the stream': {
    faults: [{ kind: 'stream_error', type: 'rate_limit_error', afterChunks: 0 }],
    code: 'rate_limited',
    retryable: true,
  },
  'a stream that is cut': {
    faults: [{ kind: 'stream_drop', afterChunks: 1 }],
    code: 'upstream_unavailable',
    retryable: true,
  },
  'a stream that ends too soon': {
    faults: [{ kind: 'stream_end', afterChunks: 1 }],
    code: 'upstream_unavailable',
    retryable: true,
  },
}

test.each(Object.entries(ANSWERED))('%s', async (_name, row) => {
  const { faults, code, retryable = false, tries = 1 } = row
  app.claude.script(...faults)
  const { success, error } = await send()
  expect(success).toBe(false)
  expect(error).toMatchObject({
    code,
    retryable,
    details: { request_id: REQUEST_ID, conversation_id: UUID, message_id: UUID },
  })
  expect(app.claude.messageRequests()).toHaveLength(tries)

  const { conversation_id, message_id } = error.details
  expect(await historyOf(conversation_id)).toMatchObject([
    { role: 'user', content: expect.any(String), status: 'failed', error_code: null },
    { role: 'assistant', status: 'failed', error_code: code, id: message_id },
  ])
  const next = await send({ conversation_id, message: 'Once more.' })
  expect(next.data, 'Claude never sees the failed turn').toMatchObject({
    content: 'Once more.',
    history: { sent: 0, omitted: 0 },
  })
  expect(app.claude.messageRequests().at(-1)?.json).toHaveProperty('messages.length', 1)
})

test('no connection', async () => {
  app.claude.script({ kind: 'drop_before_headers' }, { kind: 'drop_before_headers' })
  const { error } = await send()
  expect(error).toMatchObject({
    code: 'upstream_unavailable',
    retryable: true,
    details: { request_id: null, conversation_id: UUID, message_id: UUID },
  })
  expect(app.claude.messageRequests()).toHaveLength(2)
})

describe('a second try', () => {
  test.each<[string, Fault]>([
    ['an internal error', status(500)],
    ['overload', status(529)],
    ['a conflict', status(409)],
    ['a rate limit that says when', status(429, { retryAfter: 0 })],
    ['a broken connection', { kind: 'drop_before_headers' }],
  ])('mends %s', async (_name, fault) => {
    app.claude.script(fault)
    expect((await send()).data).toMatchObject({ status: 'complete', content: 'Hello.' })
    expect(app.claude.messageRequests()).toHaveLength(2)
  })

  test('is the same request again, byte for byte', async () => {
    app.claude.script(status(529))
    await send()
    const [first, second] = app.claude.messageRequests()
    expect(second?.body).toBe(first?.body)
  })

  test('a wait of more than 10 s is left to the caller', async () => {
    app.claude.script(status(529, { retryAfter: 11 }))
    const { error } = await send()
    expect(error).toMatchObject({ code: 'upstream_unavailable', retry_after_seconds: 11 })
    expect(app.claude.messageRequests()).toHaveLength(1)
  })

  test('is never made once an answer has begun', async () => {
    app.claude.script({ kind: 'stream_drop', afterChunks: 0 })
    expect((await send()).error.code).toBe('upstream_unavailable')
    expect(app.claude.messageRequests()).toHaveLength(1)
  })
})

test('what Anthropic says of an invalid request is passed on, and nothing else of theirs', async () => {
  app.claude.script(status(400, { message: 'messages.0: too strange' }), status(403))
  const [invalid, forbidden] = [await send(), await send()]
  expect(invalid.error.details.upstream_message).toBe('messages.0: too strange')
  expect(forbidden.error.details.upstream_message).toBeUndefined()
})

test('a rejected key is the tool’s error and not the session’s: the client stays signed in', async () => {
  app.claude.script(status(401))
  await send()
  expect((await send()).success).toBe(true)
})

test('a partial answer of a failed turn is shown and not replayed', async () => {
  app.claude.setReply({ text: 'x'.repeat(100) })
  app.claude.script({ kind: 'stream_end', afterChunks: 2 })
  const { error } = await send()
  const [, answer] = await historyOf(error.details.conversation_id)
  expect(answer).toMatchObject({ content: 'x'.repeat(64), status: 'failed' })
  expect(answer.token_count).toBeGreaterThan(0)
})

describe('an upstream that falls silent', () => {
  let impatient: TestApp
  let caller: TestClient
  beforeAll(async () => {
    impatient = await startApp({ kind: 'embedded', env: { UPSTREAM_IDLE_SECONDS: '1' } })
    const { accessToken } = await impatient.register()
    caller = await impatient.connect('legacy', accessToken)
  })
  afterAll(() => impatient.close())

  test.each([{}, { pingEveryMs: 200 }])('is given up, pings or not: %j', async (pings) => {
    impatient.claude.script({ kind: 'stream_stall', afterChunks: 1, ...pings })
    const { structured } = await caller.call('send_message', { message: 'Hello.' })
    expect(structured.error).toMatchObject({
      code: 'upstream_timeout',
      retryable: true,
      details: { request_id: REQUEST_ID, conversation_id: UUID, message_id: UUID },
    })
  })
})
