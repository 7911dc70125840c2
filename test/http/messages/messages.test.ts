/** POST /v1/messages: held before it is sent, relayed as it comes, metered and booked. */

import { once } from 'node:events'
import Anthropic from '@anthropic-ai/sdk'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  messagesBody as body,
  END,
  event,
  MODEL,
  START,
  STREAM_HEADERS as STREAM,
  TEXT,
} from '../../support/api-exchange.ts'
import { type ApiUser, apiUser } from '../../support/api-user.ts'
import { describeDatabases } from '../../support/databases.ts'
import { openRequest, rawRequest } from '../../support/raw-request.ts'
import { type ScriptedApp, startScriptedApp } from '../../support/scripted-app.ts'

describeDatabases('the Messages API', (kind) => {
  let { origin, app, close } = {} as ScriptedApp
  let user: ApiUser
  beforeAll(async () => {
    ;({ origin, app, close } = await startScriptedApp(kind))
  })
  afterAll(() => close())
  beforeEach(async () => {
    origin.asked.splice(0)
    user = await apiUser(app, ['messages:api', 'usage:read', 'account'])
  })

  const own = () => ({ 'x-api-key': user.token, 'x-claude-code-session-id': 'session-1' })
  const send = (fields: object = {}) =>
    rawRequest(app.baseUrl, { path: '/v1/messages?beta=true', headers: own(), body: body(fields) })
  const lines = () =>
    app.app.db
      .selectFrom('ledger')
      .selectAll()
      .where('userId', '=', user.userId)
      .orderBy('id')
      .execute()
  const reserved = async () =>
    (
      await app.app.db
        .selectFrom('spending')
        .select('reservedNanoUsd')
        .where('userId', '=', user.userId)
        .execute()
    ).map((row) => Number(row.reservedNanoUsd))
  const settled = () => expect.poll(reserved).toEqual([0, 0])

  test('a stream passes unchanged, and is booked as Anthropic counted', async () => {
    origin.script((res) => void res.writeHead(200, STREAM).end(START + TEXT + END))
    const answer = await send({ stream: true })
    expect(answer.body.toString()).toBe(START + TEXT + END)
    expect(origin.asked[0]).toMatchObject({ url: '/v1/messages?beta=true' })
    expect(origin.asked[0]?.body.toString()).toBe(body({ stream: true }))
    await settled()
    expect(await lines()).toMatchObject([
      {
        source: 'messages',
        model: MODEL,
        inputTokens: 10,
        outputTokens: 90,
        estimated: null,
        requestId: 'req_011',
        sessionLabel: 'session-1',
        status: 'complete',
        stopReason: 'end_turn',
        maxTokensAsked: 1000,
        maxTokensSent: 1000,
      },
    ])
    expect(Number((await lines())[0]?.costNanoUsd)).toBe(10 * 4000 + 90 * 20_000)
  })

  test('so is an answer in one piece', async () => {
    const message = {
      model: MODEL,
      stop_reason: 'end_turn',
      usage: { input_tokens: 7, output_tokens: 3, inference_geo: 'global' },
    }
    origin.script((res) => void res.end(JSON.stringify(message)))
    expect(await send()).toMatchObject({ status: 200, json: message })
    await settled()
    expect(await lines()).toMatchObject([{ inputTokens: 7, outputTokens: 3, estimated: null }])
  })

  test('an error passes unchanged and costs nothing', async () => {
    const error = '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    origin.script((res) => void res.writeHead(529, { 'request-id': 'req_9' }).end(error))
    const answer = await send()
    expect(answer).toMatchObject({ status: 529, headers: { 'request-id': 'req_9' } })
    expect(answer.body.toString()).toBe(error)
    await settled()
    expect(await lines()).toEqual([])
  })

  test('a stream that is cut is cut, and what was shown of it is booked', async () => {
    origin.script((res) => {
      res.writeHead(200, STREAM)
      res.write(START + TEXT)
      setTimeout(() => res.destroy(), 50)
    })
    await expect(send({ stream: true })).rejects.toThrow()
    await settled()
    expect(await lines()).toMatchObject([
      { inputTokens: 10, estimated: 'stream_broken', status: 'failed' },
    ])
    expect((await lines())[0]?.outputTokens).toBeGreaterThanOrEqual(100)
  })

  test('a client that leaves stops Anthropic, and is booked', async () => {
    let isClosed = false
    origin.script((res) => {
      res.on('close', () => {
        isClosed = true
      })
      res.writeHead(200, STREAM)
      res.write(START + TEXT)
    })
    const asked = { path: '/v1/messages', headers: own(), body: body({ stream: true }) }
    const answer = await openRequest(app.baseUrl, asked)
    answer.on('error', () => {})
    await once(answer, 'data')
    answer.destroy()
    await vi.waitUntil(() => isClosed, { timeout: 20_000, interval: 5 })
    await settled()
    expect(await lines()).toMatchObject([{ estimated: 'stream_cancelled', status: 'cancelled' }])
  })

  test('fallbacks and compaction are each booked at the price of their model', async () => {
    const iterations = [
      { type: 'compaction', model: 'claude-sonnet-5-5', input_tokens: 1000, output_tokens: 10 },
      { type: 'message', model: MODEL, input_tokens: 10, output_tokens: 90 },
    ]
    const end = event('message_delta', {
      delta: { stop_reason: 'end_turn' },
      usage: { output_tokens: 90, iterations, server_tool_use: { web_search_requests: 2 } },
    })
    origin.script(
      (res) => void res.writeHead(200, STREAM).end(START + TEXT + end + event('message_stop')),
    )
    await send({ stream: true })
    await settled()
    const [line] = await lines()
    expect(line).toMatchObject({
      webSearches: 2,
      iterations: [{ model: 'claude-sonnet-5-5' }, { model: MODEL }],
    })
    expect(Number(line?.costNanoUsd)).toBe(
      1000 * 2000 + 10 * 10_000 + 10 * 4000 + 90 * 20_000 + 20_000_000,
    )
  })

  describe('a budget', () => {
    const limit = async (usd: number) => {
      const client = await app.connect('legacy', user.accessToken)
      const set = await client.call('set_budget', { period: 'day', limit_usd: usd })
      if (set.isError) throw new Error(set.text)
    }

    test('that is spent is 402, final, and nothing is sent', async () => {
      await limit(0.000001)
      const answer = await send()
      expect(answer).toMatchObject({
        status: 402,
        headers: { 'x-should-retry': 'false' },
        json: {
          error: { type: 'billing_error', message: expect.stringContaining('/account/usage') },
        },
      })
      expect(origin.asked).toEqual([])
    })

    test('that is not spent, but too small for a call, says how it may fit', async () => {
      await limit(0.000001)
      const { json } = await send()
      expect(json.error.message).toMatch(/ \$0\.00 of \$0\.00 is spent\. With fewer max_tokens/)
      const client = await app.connect('legacy', user.accessToken)
      await client.call('set_budget', { period: 'day', limit_tokens: 5 })
      expect((await send()).json.error.message).toMatch(/ 0 of 5 tokens are spent\. With fewer/)
      await client.call('set_budget', { period: 'day', limit_tokens: 0 })
      expect((await send()).json.error.message).toMatch(/ 0 of 0 tokens are spent\. It starts/)
    })

    test('lets a retired model pass, whose refusal by Anthropic clients know', async () => {
      await limit(5)
      const refusal = '{"type":"error","error":{"type":"not_found_error","message":"model: x"}}'
      origin.script((res) => void res.writeHead(404).end(refusal))
      const answer = await send({ model: 'claude-3-opus-20240229' })
      expect(answer).toMatchObject({ status: 404, json: JSON.parse(refusal) })
      await settled()
    })

    test('lowers max_tokens, and nothing else', async () => {
      await limit(1)
      origin.script((res) => void res.writeHead(200, STREAM).end(START + TEXT + END))
      const fields = { stream: true, max_tokens: 128_000, x: 1.5 }
      const answer = await send(fields)
      const sent = Number(answer.headers['x-gateway-max-tokens'])
      expect(sent).toBeGreaterThanOrEqual(16_384)
      expect(sent).toBeLessThan(128_000)
      expect(origin.asked[0]?.body.toString()).toBe(body({ ...fields, max_tokens: sent }))
      await settled()
    })

    test('that other calls hold is waited for', async () => {
      await limit(0.5)
      let release = () => {}
      origin.script(
        async (res) => {
          res.writeHead(200, STREAM)
          res.write(START)
          await new Promise<void>((resolve) => {
            release = resolve
          })
          res.end(TEXT + END)
        },
        (res) => void res.writeHead(200, STREAM).end(START + TEXT + END),
      )
      const fields = { stream: true, max_tokens: 20_000 }
      const first = send(fields)
      await vi.waitUntil(() => origin.asked.length === 1, { timeout: 60_000, interval: 5 })
      const second = send(fields)
      release()
      expect((await first).status).toBe(200)
      expect((await second).status).toBe(200)
      await settled()
      expect(await lines()).toHaveLength(2)
    })
  })

  test('the official SDK talks to it', async () => {
    origin.script((res) => void res.writeHead(200, STREAM).end(START + TEXT + END))
    const client = new Anthropic({
      baseURL: app.baseUrl,
      authToken: user.token,
      apiKey: null,
      maxRetries: 0,
    })
    const stream = client.messages.stream({
      model: MODEL,
      max_tokens: 1000,
      messages: [{ role: 'user', content: 'hi' }],
    })
    expect(await stream.finalText()).toBe('x'.repeat(300))
    await settled()
  })
})
