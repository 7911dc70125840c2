import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import type { Fault } from '../support/claude-stand-in/faults.ts'
import { KEY, requestFor, useClaude } from './asking.ts'

const claude = useClaude({ chunkSize: 5 })
const LONG = 'A rather long text that makes many chunks.'
const EMPTY_ANSWER = [
  `{"type":"message_start","message":{"model":"m","usage":{"input_tokens":1,"output_tokens":1}}}`,
  `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}`,
  `{"type":"message_stop"}`,
]
const atAbort = (signal: AbortSignal) => getEventListeners(signal, 'abort').length

test.each<[string, Fault, string]>([
  ['an error event', streamError('overloaded_error'), 'upstream_unavailable'],
  ['an internal error', streamError('api_error'), 'upstream_unavailable'],
  ['a rate limit', streamError('rate_limit_error'), 'rate_limited'],
  ['an invalid request', streamError('invalid_request_error'), 'upstream_invalid_request'],
  ['a rejected key', streamError('authentication_error'), 'upstream_key_rejected'],
  ['an unknown error', streamError('brand_new_error'), 'upstream_unavailable'],
  ['a cut connection', { kind: 'stream_drop', afterChunks: 3 }, 'upstream_unavailable'],
  ['a silent end', { kind: 'stream_end', afterChunks: 3 }, 'upstream_unavailable'],
])('%s in the middle fails, keeps the part and its cost', async (_, fault, code) => {
  claude.standIn.script(fault)
  const outcome = await claude.ask({ message: LONG })
  expect(outcome).toMatchObject({
    status: 'failed',
    text: LONG.slice(0, 15),
    content: [{ type: 'text', text: LONG.slice(0, 15) }],
    stopReason: null,
    usageEstimated: 'stream_broken',
    error: { code },
  })
  expect(outcome.requestId).toMatch(/^req_/)
  expect(outcome.usage).toMatchObject({
    inputTokens: claude.standIn.billed(KEY).inputTokens,
  })
  expect(outcome.usage?.outputTokens).toBeGreaterThanOrEqual(15)
  expect(claude.standIn.messageRequests()).toHaveLength(1)
})

test('a stream that breaks before any text costs its input', async () => {
  claude.standIn.script({ kind: 'stream_drop', afterChunks: 0 })
  const outcome = await claude.ask()
  expect(outcome).toMatchObject({ status: 'failed', text: '', usageEstimated: 'stream_broken' })
  expect(outcome.usage?.inputTokens).toBe(claude.standIn.billed(KEY).inputTokens)
})

test.each([undefined, 10])('silence is too long, with pings every %s ms', async (pingEveryMs) => {
  claude.standIn.script({
    kind: 'stream_stall',
    afterChunks: 3,
    ...(pingEveryMs === undefined ? {} : { pingEveryMs }),
  })
  const outcome = await claude.ask({ message: LONG }, { idleMs: 500 })
  expect(outcome).toMatchObject({
    status: 'failed',
    text: LONG.slice(0, 15),
    usageEstimated: 'stream_timed_out',
    error: { code: 'upstream_timeout', retryable: true },
  })
  await expect.poll(() => claude.standIn.abortedStreams()).toBe(1)
})

test('silence before the first byte is too long as well', async () => {
  claude.standIn.script({ kind: 'delay', delayMs: 5000 })
  expect(await claude.ask({}, { firstTokenMs: 1500, idleMs: 1 })).toMatchObject({
    status: 'failed',
    usageEstimated: 'stream_timed_out',
    error: { code: 'upstream_timeout' },
  })
  expect(claude.standIn.messageRequests()).toHaveLength(1)
})

test('before the first text pings are life, and only they', async () => {
  claude.standIn.script({ kind: 'stream_stall', afterChunks: 0, pingEveryMs: 10 })
  const limits = { deadlineMs: 4000, firstTokenMs: 1500, idleMs: 1 }
  expect((await claude.ask({}, limits)).error?.message).toContain('did not finish in time')
  claude.standIn.script({ kind: 'stream_stall', afterChunks: 0 })
  expect((await claude.ask({}, limits)).error?.message).toContain('fell silent')
})

test('a proxy that keeps the connection alive by comments does so before the first text', async () => {
  const upstream = await serveEvents([], 4000, EMPTY_ANSWER, ': still there\n\n')
  const { signal } = new AbortController()
  const client = claude.connect({ firstTokenMs: 1500, idleMs: 1 }, upstream.url)
  const outcome = await client.answer(KEY, requestFor(), { signal })
  await upstream.close()
  expect(outcome).toMatchObject({ status: 'complete' })
})

test('a model may think in silence for longer', async () => {
  claude.standIn.script({ kind: 'pass', delayMs: 0 })
  const events = [
    `{"type":"message_start","message":{"model":"m","usage":{"input_tokens":1,"output_tokens":1}}}`,
    `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
  ]
  const late = [
    `{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}`,
    `{"type":"content_block_stop","index":0}`,
    `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}`,
    `{"type":"message_stop"}`,
  ]
  const upstream = await serveEvents(events, 1500, late)
  const { signal } = new AbortController()
  const client = claude.connect({ firstTokenMs: 500, idleMs: 500 }, upstream.url)
  const outcome = await client.answer(KEY, requestFor(), { signal })
  await upstream.close()
  expect(outcome).toMatchObject({
    status: 'complete',
    content: [{ type: 'thinking', thinking: '', signature: 's' }],
    usage: { outputTokens: 9 },
  })
})

test('the deadline ends an answer that keeps coming', async () => {
  claude.standIn.script({ kind: 'stream_stall', afterChunks: 2, pingEveryMs: 10 })
  const outcome = await claude.ask({ message: LONG }, { deadlineMs: 1000 })
  expect(outcome).toMatchObject({
    status: 'failed',
    text: LONG.slice(0, 10),
    error: { code: 'upstream_timeout' },
  })
})

test('cancelling ends the call upstream and keeps the part', async () => {
  claude.standIn.script({ kind: 'stream_stall', afterChunks: 3, pingEveryMs: 10 })
  const abort = new AbortController()
  const outcome = await claude.connect().answer(KEY, requestFor({ message: LONG }), {
    signal: abort.signal,
    onText: (text) => text.length === 15 && abort.abort(),
  })
  expect(outcome).toMatchObject({
    status: 'cancelled',
    text: LONG.slice(0, 15),
    usageEstimated: 'stream_cancelled',
    error: { code: 'cancelled' },
  })
  expect(outcome.usage?.inputTokens).toBe(claude.standIn.billed(KEY).inputTokens)
  await expect.poll(() => claude.standIn.abortedStreams()).toBe(1)
})

test('what was cancelled before it began is not asked', async () => {
  const outcome = await claude.connect().answer(KEY, requestFor(), { signal: AbortSignal.abort() })
  expect(outcome).toMatchObject({ status: 'cancelled', usage: null, usageEstimated: null })
  expect(claude.standIn.journal).toHaveLength(0)
})

test('cancelling interrupts the wait before a repeat', async () => {
  claude.standIn.script({ kind: 'status', status: 429, retryAfter: 9 })
  const abort = new AbortController()
  const client = claude.connect()
  const asking = client.answer(KEY, requestFor(), { signal: abort.signal })
  await expect.poll(() => client.lastSeen().status).toBe('reachable')
  abort.abort()
  expect(await asking).toMatchObject({ status: 'cancelled', usage: null })
  expect(claude.standIn.messageRequests()).toHaveLength(1)
})

test('nothing stays attached to a signal that outlives the call', async () => {
  const { signal } = new AbortController()
  const client = claude.connect()
  await client.answer(KEY, requestFor(), { signal })
  claude.standIn.script({ kind: 'stream_drop', afterChunks: 1 })
  await client.answer(KEY, requestFor(), { signal })
  expect(atAbort(signal)).toBe(0)
})

test('a finished answer survives a connection that breaks after it', async () => {
  const upstream = await serveEvents(EMPTY_ANSWER, 5000, [])
  const { signal } = new AbortController()
  const client = claude.connect({ idleMs: 500 }, upstream.url)
  const outcome = await client.answer(KEY, requestFor(), { signal })
  await upstream.close()
  expect(outcome).toMatchObject({ status: 'complete', error: null, usageEstimated: null })
})

function streamError(type: string): Fault {
  return { kind: 'stream_error', afterChunks: 3, type }
}

/** A server that sends some events, is silent for a while but for `life`, then sends the rest. */
async function serveEvents(first: string[], silenceMs: number, rest: string[], life = '') {
  const { createServer } = await import('node:http')
  const frames = (events: string[]) =>
    events.map((data) => `event: ${JSON.parse(data).type}\ndata: ${data}\n\n`).join('')
  const server = createServer((_, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write(frames(first))
    const living = setInterval(() => res.write(life), 20).unref()
    setTimeout(() => {
      clearInterval(living)
      res.end(frames(rest))
    }, silenceMs).unref()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      }),
  }
}
