/** A prompt with documents: where a budget is tight, Anthropic counts it before it is held for. */

import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  BLOCK_END,
  delta,
  messagesBody,
  START,
  STOP,
  STREAM_HEADERS,
  TEXT,
} from '../../support/api-exchange.ts'
import { type ApiUser, apiUser } from '../../support/api-user.ts'
import { describeDatabases } from '../../support/databases.ts'
import { rawRequest } from '../../support/raw-request.ts'
import { type ScriptedApp, startScriptedApp } from '../../support/scripted-app.ts'

/** Of Opus 5.5: less than a full window costs, and more than a short prompt. */
const LIMIT_USD = 2
const PAGES = 20_000

const pdf = {
  type: 'document',
  source: { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0xLjcK'.repeat(100) },
}
const atAddress = { type: 'document', source: { type: 'url', url: 'https://a.example/x.pdf' } }

describeDatabases('documents', (kind) => {
  let { origin, app, close } = {} as ScriptedApp
  let user: ApiUser
  beforeAll(async () => {
    ;({ origin, app, close } = await startScriptedApp(kind))
  })
  afterAll(() => close())
  beforeEach(async () => {
    origin.asked.splice(0)
    user = await apiUser(app)
  })

  const fieldsOf = (block: object) => ({
    stream: true,
    max_tokens: 2000,
    messages: [{ role: 'user', content: [block, { type: 'text', text: 'Sum it up.' }] }],
  })
  const send = (block: object) =>
    rawRequest(app.baseUrl, {
      path: '/v1/messages?beta=true',
      headers: { 'x-api-key': user.token, 'anthropic-beta': 'pdfs-2024-09-25' },
      body: messagesBody(fieldsOf(block)),
    })
  const paths = () => origin.asked.map(({ url }) => url)
  const limit = async () => {
    const client = await app.connect('legacy', user.accessToken)
    const set = await client.call('set_budget', { period: 'day', limit_usd: LIMIT_USD })
    if (set.isError) throw new Error(set.text)
  }
  const alerts = () =>
    app.app.db
      .selectFrom('budgetAlerts')
      .select('threshold')
      .where('userId', '=', user.userId)
      .execute()
  const held = async () => {
    const row = await app.app.db
      .selectFrom('spending')
      .select('reservedNanoUsd')
      .where('userId', '=', user.userId)
      .where('period', '=', 'day')
      .executeTakeFirstOrThrow()
    return Number(row.reservedNanoUsd) / 1e9
  }
  const counted = (tokens: number) => (res: ServerResponse) =>
    void res.end(JSON.stringify({ input_tokens: tokens }))
  const answered = (res: ServerResponse) =>
    void res.writeHead(200, STREAM_HEADERS).end(START + TEXT + BLOCK_END + delta(9) + STOP)

  test('are counted where a full window has no room, and then held for by the count', async () => {
    await limit()
    let duringCall = 0
    origin.script(counted(PAGES), async (res) => {
      duringCall = await held()
      answered(res)
    })
    const answer = await send(pdf)
    expect(answer.status).toBe(200)
    expect(answer.headers['x-gateway-max-tokens']).toBeUndefined()
    expect(paths()).toEqual(['/v1/messages/count_tokens?beta=true', '/v1/messages?beta=true'])
    const [count, call] = origin.asked
    const { messages } = fieldsOf(pdf)
    expect(JSON.parse(String(count?.body))).toEqual({ model: 'claude-opus-5-5', messages })
    expect(count?.headers).toMatchObject({
      authorization: `Bearer ${user.apiKey}`,
      'anthropic-beta': 'pdfs-2024-09-25',
    })
    expect(String(call?.body)).toBe(messagesBody(fieldsOf(pdf)))
    expect(duringCall).toBeGreaterThan(0.1)
    expect(duringCall).toBeLessThan(LIMIT_USD / 5)
    expect(await alerts()).toEqual([])
  })

  test('are not counted where there is room, nor at an address, which may change', async () => {
    origin.script(answered)
    expect((await send(pdf)).status).toBe(200)
    expect(paths()).toEqual(['/v1/messages?beta=true'])
    await limit()
    expect((await send(atAddress)).status).toBe(402)
    expect(paths()).toHaveLength(1)
  })

  test.each([
    ['says no', (res: ServerResponse) => void res.writeHead(400).end('{"input_tokens":5}')],
    ['says nonsense', (res: ServerResponse) => void res.end('{"input_tokens":"5"}')],
    ['breaks off', (res: ServerResponse) => void res.destroy()],
    ['counts too many', counted(900_000)],
  ])('are refused when the count %s, and nothing was sent', async (_, answer) => {
    await limit()
    origin.script(answer)
    const refused = await send(pdf)
    expect(refused).toMatchObject({ status: 402, json: { error: { type: 'billing_error' } } })
    expect(paths()).toEqual(['/v1/messages/count_tokens?beta=true'])
    expect(await alerts()).toEqual([{ threshold: 0 }])
    expect(await held()).toBe(0)
  })
})
