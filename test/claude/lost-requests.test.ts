/** A request that was sent, and of which nothing was heard again, may be billed all the same. */

import { describe, expect, test } from 'vitest'
import { deadUrl, KEY, requestFor, useClaude } from './asking.ts'

const claude = useClaude()
const LOST = { kind: 'drop_before_headers', billed: true } as const
const signal = new AbortController().signal

test('sent again, both are in the usage', async () => {
  claude.standIn.script(LOST)
  const outcome = await claude.ask()
  expect(outcome).toMatchObject({ status: 'complete', usageEstimated: 'sent_twice' })
  expect(outcome.warnings.join()).toContain('may bill both')
  const billed = claude.standIn.billed(KEY)
  expect(billed.calls).toBe(2)
  expect(outcome.usage?.inputTokens).toBeGreaterThanOrEqual(billed.inputTokens)
  expect(outcome.usage?.outputTokens).toBeGreaterThanOrEqual(billed.outputTokens)
})

test('lost twice, both are in the usage', async () => {
  claude.standIn.script(LOST, LOST)
  const outcome = await claude.ask()
  expect(outcome).toMatchObject({ status: 'failed', usageEstimated: 'stream_broken' })
  const billed = claude.standIn.billed(KEY)
  expect(billed.calls).toBe(2)
  expect(outcome.usage?.inputTokens).toBeGreaterThanOrEqual(billed.inputTokens)
  expect(outcome.usage?.outputTokens).toBeGreaterThanOrEqual(billed.outputTokens)
})

test('lost, then answered with an error: the first is in the usage', async () => {
  claude.standIn.script(LOST, { kind: 'status', status: 400 })
  const outcome = await claude.ask()
  expect(outcome).toMatchObject({ status: 'failed', error: { code: 'upstream_invalid_request' } })
  const billed = claude.standIn.billed(KEY)
  expect(outcome.usage?.inputTokens).toBeGreaterThanOrEqual(billed.inputTokens)
})

test('lost, then refused for free: the first is in the usage', async () => {
  claude.standIn.script(LOST)
  claude.standIn.setReply({ refusalCategory: 'cyber', thinks: { tokens: 0, ms: 0 }, content: [] })
  const outcome = await claude.ask()
  expect(outcome).toMatchObject({ status: 'refused', usageEstimated: 'sent_twice' })
  expect(outcome.usage?.inputTokens).toBeGreaterThan(0)
})

describe.each([504, 524])('a proxy that waited in vain for an answer says %i', (status) => {
  const page = { body: '<html>Gateway timeout</html>', headers: { 'content-type': 'text/html' } }
  const LATE = { kind: 'raw', status, billed: true, ...page } as const

  test('twice: both are in the usage', async () => {
    claude.standIn.script(LATE, LATE)
    const outcome = await claude.ask()
    expect(outcome).toMatchObject({
      status: 'failed',
      usageEstimated: 'stream_broken',
      error: { code: 'upstream_unavailable', details: { upstream_status: status } },
    })
    const billed = claude.standIn.billed(KEY)
    expect(billed.calls).toBe(2)
    expect(outcome.usage?.inputTokens).toBeGreaterThanOrEqual(billed.inputTokens)
    expect(outcome.usage?.outputTokens).toBeGreaterThanOrEqual(billed.outputTokens)
  })

  test('and it is not sent again where there is room for one', async () => {
    claude.standIn.script(LATE)
    const options = { signal, repeatsLost: false }
    const outcome = await claude.connect().answer(KEY, requestFor(), options)
    expect(outcome).toMatchObject({ status: 'failed', usageEstimated: 'stream_broken' })
    expect(claude.standIn.messageRequests()).toHaveLength(1)
  })
})

test('not sent again where there is room for one', async () => {
  claude.standIn.script(LOST)
  const options = { signal, repeatsLost: false }
  const outcome = await claude.connect().answer(KEY, requestFor(), options)
  expect(outcome).toMatchObject({
    status: 'failed',
    usageEstimated: 'stream_broken',
    error: { code: 'upstream_unavailable', retryable: true },
  })
  expect(claude.standIn.messageRequests()).toHaveLength(1)
  expect(outcome.usage?.inputTokens).toBeGreaterThanOrEqual(claude.standIn.billed(KEY).inputTokens)
})

test('an error status is an answer, and is tried again all the same', async () => {
  claude.standIn.script({ kind: 'status', status: 529, headers: { 'retry-after-ms': '1' } })
  const options = { signal, repeatsLost: false }
  const outcome = await claude.connect().answer(KEY, requestFor(), options)
  expect(outcome).toMatchObject({ status: 'complete', usageEstimated: null })
})

test('what was never sent costs nothing', async () => {
  const client = claude.connect({}, await deadUrl())
  expect(await client.answer(KEY, requestFor(), { signal })).toMatchObject({
    usage: null,
    usageEstimated: null,
  })
})

test('while it waits for a connection it costs nothing', async () => {
  claude.standIn.script({ kind: 'stream_stall', afterChunks: 0 })
  const client = claude.connect({ maxConnections: 1 })
  const first = new AbortController()
  const running = client.answer(KEY, requestFor(), { signal: first.signal })
  await expect.poll(() => claude.standIn.openStreams()).toBe(1)
  const second = new AbortController()
  const waiting = client.answer(KEY, requestFor(), { signal: second.signal })
  second.abort()
  expect(await waiting).toMatchObject({ status: 'cancelled', usage: null })
  first.abort()
  expect(await running).toMatchObject({ status: 'cancelled', usageEstimated: 'stream_cancelled' })
})

test('cancelled while it thinks, it has cost what it thought', async () => {
  claude.standIn.setReply({ text: 'Done.', thinks: { tokens: 300, ms: 600 } })
  const leaving = new AbortController()
  const asking = claude.connect().answer(KEY, requestFor(), { signal: leaving.signal })
  await expect
    .poll(() => claude.standIn.billed(KEY).outputTokens, { interval: 5 })
    .toBeGreaterThan(50)
  leaving.abort()
  const outcome = await asking
  await expect.poll(() => claude.standIn.openStreams()).toBe(0)
  expect(outcome.usage?.outputTokens).toBeGreaterThanOrEqual(
    claude.standIn.billed(KEY).outputTokens,
  )
})

test('a count is free, and null when it cannot be had', async () => {
  const client = claude.connect()
  const count = () => client.countTokens(KEY, requestFor(), signal)
  expect(await count()).toBe(5 + 3)
  expect(claude.standIn.billed(KEY).calls).toBe(0)
  claude.standIn.script({ kind: 'status', status: 529, on: 'count_tokens' })
  expect(await count()).toBeNull()
  for (const body of ['', '{}', 'null', '{"input_tokens":-3}', '{"input_tokens":0}', '<html>']) {
    claude.standIn.script({ kind: 'raw', status: 200, body, on: 'count_tokens' })
    expect(await count(), body).toBeNull()
  }
  expect(await client.countTokens(KEY, requestFor(), AbortSignal.abort())).toBeNull()
})
