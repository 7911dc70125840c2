import { expect, test } from 'vitest'
import { type AppError, type ErrorCode, toErrorBody } from '../../src/errors.ts'
import type { Fault } from '../support/claude-stand-in/faults.ts'
import { deadUrl, KEY, requestFor, useClaude } from './asking.ts'

const claude = useClaude()
const status = (code: number, more: Partial<Extract<Fault, { kind: 'status' }>> = {}): Fault => ({
  kind: 'status',
  status: code,
  ...more,
})

const USER_LIMIT = 'You have reached your specified API usage limits. You will regain access on'
const WORKSPACE_LIMIT = 'You have reached your specified workspace API usage limits.'

test.each<[Fault, ErrorCode]>([
  [status(400, { message: 'messages: something is odd' }), 'upstream_invalid_request'],
  [status(400, { message: 'prompt is too long: 210000 tokens > 200000' }), 'context_too_long'],
  [status(400, { message: USER_LIMIT }), 'spend_limit'],
  [status(400, { message: WORKSPACE_LIMIT }), 'spend_limit'],
  [status(400, { message: 'Your credit balance is too low to access' }), 'upstream_billing'],
  [status(401), 'upstream_key_rejected'],
  [status(402), 'upstream_billing'],
  [status(403), 'upstream_forbidden'],
  [status(404), 'model_not_available'],
  [status(413), 'request_too_large'],
  [status(418), 'upstream_invalid_request'],
  [status(422), 'upstream_conflict'],
  [status(429), 'rate_limited'],
  [status(301, { headers: { location: 'https://example.com/' } }), 'upstream_unavailable'],
])('%o is not repeated and means %s', async (fault, code) => {
  claude.standIn.script(fault)
  const outcome = await claude.ask()
  expect(outcome).toMatchObject({
    status: 'failed',
    content: [],
    usage: null,
    usageEstimated: null,
    error: { code },
  })
  expect(outcome.requestId).toMatch(/^req_/)
  expect(outcome.error?.details).toMatchObject({
    request_id: outcome.requestId,
    upstream_status: fault.kind === 'status' ? fault.status : null,
  })
  expect(claude.standIn.messageRequests()).toHaveLength(1)
})

test.each<[number, ErrorCode]>([
  [408, 'upstream_unavailable'],
  [409, 'upstream_conflict'],
  [500, 'upstream_unavailable'],
  [503, 'upstream_unavailable'],
  [504, 'upstream_unavailable'],
  [529, 'upstream_unavailable'],
])('%i is tried twice, then means %s', async (code, expected) => {
  const now = { headers: { 'retry-after-ms': '1' } }
  claude.standIn.script(status(code, now), status(code, now))
  expect(await claude.ask()).toMatchObject({
    status: 'failed',
    error: { code: expected, retryable: true },
  })
  expect(claude.standIn.messageRequests()).toHaveLength(2)
})

test('a fault that passes is not seen', async () => {
  claude.standIn.script(status(529, { headers: { 'retry-after-ms': '1' } }))
  expect(await claude.ask()).toMatchObject({ status: 'complete', error: null })
  expect(claude.standIn.messageRequests()).toHaveLength(2)
})

test('a connection that breaks before the answer is tried again', async () => {
  claude.standIn.script({ kind: 'drop_before_headers' })
  expect(await claude.ask()).toMatchObject({ status: 'complete' })
  expect(claude.standIn.messageRequests()).toHaveLength(2)
})

test('an upstream that cannot be reached is unavailable', async () => {
  const client = claude.connect({}, await deadUrl())
  const { signal } = new AbortController()
  const outcome = await client.answer(KEY, requestFor(), { signal })
  expect(outcome).toMatchObject({
    status: 'failed',
    usage: null,
    requestId: null,
    error: { code: 'upstream_unavailable', details: { network_error: 'ECONNREFUSED' } },
  })
  expect(client.lastSeen().status).toBe('unreachable')
})

test('a short retry-after is obeyed, a long one handed to the caller', async () => {
  claude.standIn.script(status(429, { retryAfter: 0 }))
  expect(await claude.ask()).toMatchObject({ status: 'complete' })
  expect(claude.standIn.messageRequests()).toHaveLength(2)

  claude.standIn.script(status(429, { retryAfter: 11 }))
  expect((await claude.ask()).error).toMatchObject({
    code: 'rate_limited',
    retryable: true,
    retryAfterSeconds: 11,
  })
  expect(claude.standIn.messageRequests()).toHaveLength(3)
})

test.each([
  { retryAfter: 2_592_000 },
  { retryAfter: 'Fri, 31 Dec 2100 23:59:59 GMT' },
  { headers: { 'retry-after-ms': 'Infinity' } },
])('nobody is told to wait longer than a day: %o', async (wait) => {
  claude.standIn.script(status(429, wait))
  const { error } = await claude.ask()
  expect(error).toMatchObject({ code: 'rate_limited', retryAfterSeconds: 86_400 })
  expect(toErrorBody(error as AppError).error.retry_after_seconds).toBe(86_400)
})

test('a wait beyond the deadline is not begun', async () => {
  claude.standIn.script(status(429, { retryAfter: 8 }))
  const outcome = await claude.ask({}, { deadlineMs: 2000 })
  expect(outcome.error).toMatchObject({ code: 'rate_limited', retryAfterSeconds: 8 })
  expect(claude.standIn.messageRequests()).toHaveLength(1)
})

test('a spent month is final, whatever the headers say', async () => {
  const details = { error_code: 'enforced_spend_limit_reached' }
  claude.standIn.script(status(429, { details, headers: { 'x-should-retry': 'true' } }))
  expect((await claude.ask()).error).toMatchObject({
    code: 'spend_limit_reached',
    retryable: false,
    details: { upstream_error_code: 'enforced_spend_limit_reached' },
  })
  expect(claude.standIn.messageRequests()).toHaveLength(1)
})

test('x-should-retry decides', async () => {
  const verdict = (value: string) => ({
    headers: { 'x-should-retry': value, 'retry-after-ms': '1' },
  })
  claude.standIn.script(status(529, verdict('false')))
  expect(await claude.ask()).toMatchObject({ status: 'failed' })
  expect(claude.standIn.messageRequests()).toHaveLength(1)

  claude.standIn.script(status(400, verdict('true')))
  expect(await claude.ask()).toMatchObject({ status: 'complete' })
  expect(claude.standIn.messageRequests()).toHaveLength(3)
})

test('an invalid request carries Anthropic’s reason, cut to 500 characters', async () => {
  claude.standIn.script(status(400, { message: 'x'.repeat(600) }))
  const { error } = await claude.ask()
  expect(error?.details?.upstream_message).toBe('x'.repeat(500))
  expect(error?.message).not.toContain('xxx')
})

test('only an invalid request quotes Anthropic', async () => {
  claude.standIn.script(status(403, { message: 'SECRET' }))
  const { error } = await claude.ask()
  expect(JSON.stringify([error?.message, error?.details])).not.toContain('SECRET')
})

test('an unknown model names the current ones', async () => {
  const { error } = await claude.ask({ model: 'claude-next-9' })
  expect(error).toMatchObject({ code: 'model_not_available', details: { model: 'claude-next-9' } })
  expect(error?.message).toContain('claude-sonnet-5-5')
})

test('a path that Anthropic does not have is told from a model', async () => {
  const client = claude.connect({}, `${claude.standIn.url}/not-here`)
  const setting = expect.stringContaining('ANTHROPIC_BASE_URL')
  const { signal } = new AbortController()
  expect(await client.answer(KEY, requestFor(), { signal })).toMatchObject({
    usage: null,
    error: { code: 'upstream_unavailable', retryable: false, message: setting },
  })
  await expect(client.proveKey(KEY)).rejects.toMatchObject({
    code: 'upstream_unavailable',
    message: setting,
  })
})

test('an HTML page from in between is a failure, not a crash', async () => {
  const page = { kind: 'raw', status: 502, body: '<html>Bad gateway</html>' } as const
  claude.standIn.script(page, page)
  expect((await claude.ask()).error).toMatchObject({ code: 'upstream_unavailable' })
  claude.standIn.script({ kind: 'raw', status: 200, body: '<html>Welcome</html>' })
  expect((await claude.ask()).error).toMatchObject({ code: 'upstream_unavailable' })
  const headers = { 'content-type': 'text/event-stream' }
  const broken = 'event: message_start\ndata: {"type":"message_start", SECRET\n\n'
  claude.standIn.script({ kind: 'raw', status: 200, body: broken, headers })
  const outcome = await claude.ask()
  expect(outcome.error).toMatchObject({ code: 'upstream_unavailable' })
  expect(String(outcome.error?.stack)).not.toContain('SECRET')
})

test.each<[string, string]>([
  ['a refused temperature under the new version', 'temperature: Extra inputs are not permitted'],
  ['a deprecated temperature', '`temperature` is deprecated for this model.'],
])('%s is dropped, once for all calls', async (_, message) => {
  const client = claude.connect()
  const request = requestFor({ model: 'claude-sonnet-4-6', temperature: 0.7 })
  const ask = () => client.answer(KEY, request, { signal: new AbortController().signal })
  claude.standIn.script(status(400, { message }))
  const first = await ask()
  const second = await ask()
  for (const outcome of [first, second]) {
    expect(outcome).toMatchObject({
      status: 'complete',
      warnings: [expect.stringContaining('temperature')],
    })
  }
  const sent = claude.standIn.messageRequests()
  expect(sent.map(({ headers }) => headers['anthropic-version'])).toEqual([
    '2023-06-01',
    '2026-10-21',
    '2026-10-21',
  ])
  expect(sent.map(({ json }) => Object.hasOwn(json as object, 'temperature'))).toEqual([
    true,
    false,
    false,
  ])
})

test.each<[Fault, ErrorCode]>([
  [status(401), 'invalid_api_key'],
  [status(403), 'invalid_api_key'],
  [status(429), 'rate_limited'],
  [status(400), 'upstream_unavailable'],
  [status(404), 'upstream_unavailable'],
])('a key answered with %o is %s', async (fault, code) => {
  claude.standIn.script({ ...fault, on: 'models' } as Fault)
  await expect(claude.connect().proveKey(KEY)).rejects.toMatchObject({ code })
})

test('a key that nobody could check is not called bad', async () => {
  const now = { headers: { 'retry-after-ms': '1' } }
  for (let i = 0; i < 2; i += 1) {
    claude.standIn.script({ ...status(529, now), on: 'models' } as Fault)
  }
  await expect(claude.connect().proveKey(KEY)).rejects.toMatchObject({
    code: 'upstream_unavailable',
    retryable: true,
  })
  await expect(claude.connect({}, await deadUrl()).proveKey(KEY)).rejects.toMatchObject({
    code: 'upstream_unavailable',
    retryable: true,
  })
})

test('a key Anthropic does not know is invalid', async () => {
  claude.standIn.setValidKeys(['sk-ant-api03-somebody-else'])
  await expect(claude.connect().proveKey(KEY)).rejects.toMatchObject({ code: 'invalid_api_key' })
  expect((await claude.ask()).error).toMatchObject({ code: 'upstream_key_rejected' })
})
