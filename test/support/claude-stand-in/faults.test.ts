import {
  APIConnectionError,
  type APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  OverloadedError,
  RateLimitError,
} from '@anthropic-ai/sdk'
import { expect, test } from 'vitest'
import { ask, client, post, QUIET, standInForTests, until } from './probe.ts'
import { startClaudeStandIn } from './server.ts'

const nowMs = Date.UTC(2026, 10, 22)
const standIn = await standInForTests({ now: () => nowMs, chunkSize: 4 })

const words = ask('one two three four', QUIET)

async function collect(signal?: AbortSignal) {
  const stream = client(standIn).messages.stream(words, signal && { signal })
  let text = ''
  stream.on('text', (delta) => {
    text += delta
  })
  const error = await stream.finalMessage().then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return { text, error: error as (Error & Partial<APIError>) | undefined }
}

test('statuses become the typed errors of the SDK, once each, and cost nothing', async () => {
  standIn.script(
    { kind: 'status', status: 401 },
    { kind: 'status', status: 429, retryAfter: 7 },
    { kind: 'status', status: 429, details: { error_code: 'enforced_spend_limit_reached' } },
    { kind: 'status', status: 529, headers: { 'x-should-retry': 'false' } },
    { kind: 'status', status: 400, message: 'You have reached your specified API usage limits.' },
  )
  const next = () =>
    client(standIn)
      .messages.create(words)
      .catch((error: unknown) => error as APIError)
  const errors = (await Promise.all([1, 2, 3, 4, 5].map(next))) as APIError[]
  const byStatus = (type: new (...args: never[]) => unknown) =>
    errors.filter((e) => e instanceof type)
  expect(byStatus(AuthenticationError)).toMatchObject([{ type: 'authentication_error' }])
  expect(byStatus(BadRequestError)).toMatchObject([
    { apiMessage: expect.stringContaining('usage limits') },
  ])
  expect(byStatus(OverloadedError)).toMatchObject([{ status: 529, type: 'overloaded_error' }])
  const limits = byStatus(RateLimitError) as RateLimitError[]
  expect(limits.map((e) => [e.headers?.get('retry-after'), e.errorCode ?? null])).toEqual(
    expect.arrayContaining([
      ['7', null],
      [null, 'enforced_spend_limit_reached'],
    ]),
  )
  expect(errors.every(({ requestID }) => requestID?.startsWith('req_'))).toBe(true)
  expect((await client(standIn).messages.create(words)).stop_reason).toBe('end_turn')
  expect(standIn.billed().calls).toBe(1)
})

test('a fault strikes its own route only', async () => {
  standIn.script(
    { kind: 'status', status: 500, on: 'models' },
    { kind: 'pass' },
    { kind: 'raw', status: 200, body: '{"half' },
  )
  const { model, messages } = words
  await client(standIn).messages.countTokens({ model, messages })
  await client(standIn).messages.create(words)
  await expect(client(standIn).models.list()).rejects.toMatchObject({ status: 500 })
  await expect(client(standIn).messages.create(words)).rejects.toThrow(SyntaxError)
  expect(() => standIn.script({ kind: 'explode' } as never)).toThrow(TypeError)
})

test('no fault hides an invalid request', async () => {
  standIn.script({ kind: 'status', status: 500 })
  expect((await post(standIn, { body: ask('') })).status).toBe(400)
  expect((await post(standIn, {})).status).toBe(200)
})

test('a connection cut before the headers is a connection error', async () => {
  standIn.script({ kind: 'drop_before_headers' })
  await expect(client(standIn).messages.create(words)).rejects.toThrow(APIConnectionError)
  expect(standIn.journal[0]?.status).toBeUndefined()
  expect(standIn.billed().calls).toBe(0)
})

test('a delay holds back the first byte until the client gives up', async () => {
  standIn.script({ kind: 'delay', delayMs: 60_000 })
  const aborter = new AbortController()
  const pending = client(standIn).messages.create(words, { signal: aborter.signal })
  await until(() => standIn.journal.length === 1)
  aborter.abort()
  await expect(pending).rejects.toThrow(APIUserAbortError)
  expect(standIn.billed().calls).toBe(0)
})

test('an error event after two chunks has a type and no status', async () => {
  standIn.script({ kind: 'stream_error', afterChunks: 2, type: 'overloaded_error' })
  const { text, error } = await collect()
  expect(text).toBe('one two ')
  expect(error).toMatchObject({ type: 'overloaded_error', status: undefined })
  expect(error?.requestID).toMatch(/^req_/)
  expect(standIn.billed()).toMatchObject({ calls: 1, inputTokens: 8, outputTokens: 2 })
})

test('a socket cut after one chunk is seen as terminated, with the chunk', async () => {
  standIn.script({ kind: 'stream_drop', afterChunks: 1 })
  const { text, error } = await collect()
  expect(text).toBe('one ')
  expect(error?.message).toMatch(/terminated/)
  expect(standIn.abortedStreams()).toBe(0)
  expect(standIn.billed().outputTokens).toBe(1)
})

test('a clean end without message_stop, also before any text and after all of it', async () => {
  standIn.script({ kind: 'stream_end', afterChunks: 0 }, { kind: 'stream_end', afterChunks: 99 })
  const none = await collect()
  expect(none.text).toBe('')
  expect(none.error?.message).toMatch(/without producing/)
  const whole = await collect()
  expect(whole.text).toBe('one two three four')
  expect(whole.error?.message).toMatch(/without producing/)
})

test.each([undefined, 5])(
  'a stall, ping every %s ms, lasts until the client leaves',
  async (pingEveryMs) => {
    standIn.script({ kind: 'stream_stall', afterChunks: 3, ...(pingEveryMs && { pingEveryMs }) })
    const aborter = new AbortController()
    const stalled = collect(aborter.signal)
    await until(() => standIn.billed().outputTokens === 3)
    expect(standIn.openStreams()).toBe(1)
    aborter.abort()
    expect((await stalled).error).toBeInstanceOf(APIUserAbortError)
    await until(() => standIn.openStreams() === 0)
    expect(standIn.abortedStreams()).toBe(1)
    expect(standIn.billed()).toMatchObject({ calls: 1, outputTokens: 3 })
  },
)

test('pings arrive during a stall', async () => {
  standIn.script({ kind: 'stream_stall', afterChunks: 1, pingEveryMs: 2 })
  const aborter = new AbortController()
  const headers = { 'x-api-key': 'k', 'anthropic-version': '2026-10-21' }
  const body = JSON.stringify({ ...words, stream: true })
  const response = await fetch(`${standIn.url}/v1/messages`, {
    method: 'POST',
    headers,
    body,
    signal: aborter.signal,
  })
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString()
    if (text.split('event: ping').length > 3) break
  }
  aborter.abort()
  expect(text).toMatch(/one .*(event: ping\s+data: {"type":"ping"}\s+){2}/s)
})

test('one answer can be canned ahead of the rest', async () => {
  standIn.script({
    kind: 'reply',
    reply: { text: 'canned', stopReason: 'model_context_window_exceeded' },
  })
  expect(await client(standIn).messages.create(words)).toMatchObject({
    content: [{ text: 'canned' }],
    stop_reason: 'model_context_window_exceeded',
  })
  expect((await client(standIn).messages.create(words)).stop_reason).toBe('end_turn')
})

test('without a stream the faults take their nearest form', async () => {
  standIn.script(
    { kind: 'stream_error', afterChunks: 1, type: 'overloaded_error' },
    { kind: 'stream_drop', afterChunks: 1 },
    { kind: 'stream_stall', afterChunks: 1 },
  )
  await expect(client(standIn).messages.create(words)).rejects.toMatchObject({ status: 529 })
  await expect(client(standIn).messages.create(words)).rejects.toThrow()
  expect(standIn.billed()).toMatchObject({ calls: 1, outputTokens: 5 })
  const aborter = new AbortController()
  const pending = client(standIn).messages.create(words, { signal: aborter.signal })
  await until(() => standIn.billed().calls === 2)
  aborter.abort()
  await expect(pending).rejects.toThrow(APIUserAbortError)
})

test('a client that leaves a paced stream pays for what was produced', async () => {
  const slow = await startClaudeStandIn({ chunkSize: 4, chunkDelayMs: 5 })
  const long = ask('word'.repeat(2000), { ...QUIET, max_tokens: 5000 })
  const stream = client(slow, 'k').messages.stream(long)
  stream.once('text', () => stream.abort())
  await expect(stream.finalMessage()).rejects.toThrow(APIUserAbortError)
  await until(() => slow.openStreams() === 0)
  expect(slow.abortedStreams()).toBe(1)
  expect(slow.billed('k')).toMatchObject({ calls: 1, inputTokens: 2003 })
  expect(slow.billed('k').outputTokens).toBeGreaterThan(0)
  expect(slow.billed('k').outputTokens).toBeLessThan(2000)
  await slow.close()
})
