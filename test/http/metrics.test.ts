/** GET /metrics: who may read it, and what it holds. */

import { networkInterfaces } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isGiven } from '../support/left-out.ts'
import { startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { get, post, toolCall } from './posting.ts'

const NOTHING_THERE = { status: 404, json: { success: false, error: { code: 'not_found' } } }

describe('METRICS=loopback', () => {
  let app: TestApp
  beforeAll(async () => {
    const env = { METRICS: 'loopback', HOST: '0.0.0.0', TRUST_PROXY: '1' }
    app = await startApp({ kind: 'embedded', env })
  })
  afterAll(() => app.close())

  test('is open to this machine', async () => {
    const { status, headers, text } = await get(`${app.baseUrl}/metrics`)
    expect(status).toBe(200)
    expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    expect(text).toContain('process_cpu_seconds_total')
  })

  test.each([
    { 'x-forwarded-for': '203.0.113.9' },
    { 'x-forwarded-for': '127.0.0.1' },
    { forwarded: 'for=203.0.113.9' },
  ])('is closed to whom a proxy speaks for: %o', async (headers) => {
    expect(await get(`${app.baseUrl}/metrics`, headers)).toMatchObject(NOTHING_THERE)
  })

  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ internal, family }) => !internal && family === 'IPv4')

  const hasOutside = isGiven(outside !== undefined, {
    leavesOut: 'metrics asked for from outside',
    because: 'this machine has no address but loopback',
  })
  test.runIf(hasOutside)('is closed to every other address', async () => {
    const url = new URL(app.baseUrl)
    url.hostname = outside?.address ?? ''
    expect((await get(`${url.origin}/livez`)).status).toBe(200)
    expect(await get(`${url.origin}/metrics`)).toMatchObject(NOTHING_THERE)
  })
})

describe('METRICS=token', () => {
  const METRICS_TOKEN = 'a-token-for-prometheus'
  const read = async (app: TestApp) =>
    (await get(`${app.baseUrl}/metrics`, { authorization: `Bearer ${METRICS_TOKEN}` })).text
  let app: TestApp
  let ada: TestUser

  beforeAll(async () => {
    app = await startApp({ kind: 'embedded', env: { METRICS: 'token', METRICS_TOKEN } })
    ada = await app.register()
  })
  afterAll(() => app.close())

  test.each([
    undefined,
    '',
    'Bearer',
    `Bearer ${METRICS_TOKEN}x`,
    `Bearer ${METRICS_TOKEN.slice(0, -1)}`,
    `Basic ${METRICS_TOKEN}`,
    METRICS_TOKEN,
  ])('is closed to %o', async (authorization) => {
    const headers = authorization === undefined ? {} : { authorization }
    expect(await get(`${app.baseUrl}/metrics`, headers)).toMatchObject(NOTHING_THERE)
  })

  test('is closed to a user', async () => {
    const headers = { authorization: `Bearer ${ada.accessToken}` }
    expect(await get(`${app.baseUrl}/metrics`, headers)).toMatchObject(NOTHING_THERE)
  })

  test('counts tool calls by tool and outcome, tokens, requests, and what is running', async () => {
    const client = await app.connect('modern', ada.accessToken)
    await client.call('send_message', { message: 'one' })
    await client.call('send_message', { message: 'two' })
    await client.call('get_conversation_history', {
      conversation_id: '00000000-0000-4000-8000-000000000000',
    })
    await client.call('authenticate_user', { username: ada.username, password: 'wrong' })
    await get(`${app.baseUrl}/some/path/of/nobody`)
    const text = await read(app)
    const { inputTokens, outputTokens } = app.claude.billed()
    for (const line of [
      'gateway_tool_call_seconds_count{tool="send_message",outcome="ok"} 2',
      'gateway_tool_call_seconds_count{tool="get_conversation_history",outcome="not_found"} 1',
      'gateway_tool_call_seconds_count{tool="authenticate_user",outcome="invalid_credentials"} 1',
      `gateway_tokens_total{class="input"} ${inputTokens}`,
      `gateway_tokens_total{class="output"} ${outputTokens}`,
      'gateway_overhead_seconds_count 2',
      'gateway_running_answers 0',
      'gateway_http_request_seconds_count{route="other",status="4xx"} 1',
    ]) {
      expect(text.split('\n')).toContain(line)
    }
  })

  test('labels come from closed lists: whatever is asked for, no new series', async () => {
    const series = async () => new Set((await read(app)).match(/^gateway_\w+\{[^}]*\}/gm))
    await get(`${app.baseUrl}/first`)
    const before = await series()
    for (const path of ['/a', '/b?c=d', '/mcp/e', '/livezz']) await get(app.baseUrl + path)
    await post(app.url, { jsonrpc: '2.0', id: 1, method: 'my/own' })
    await post(app.url, toolCall('my_own'))
    expect([...(await series())].filter((name) => !before.has(name))).toEqual([])
  })

  test('holds nothing of a user', async () => {
    const text = await read(app)
    expect(text).toContain('gateway_')
    for (const secret of Object.values(ada)) expect(text).not.toContain(secret)
  })
})
