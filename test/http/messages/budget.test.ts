/** Many calls of one user against one budget: never over it, and each refusal says which one it is. */

import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
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
import { type RawAnswer, rawRequest } from '../../support/raw-request.ts'
import { type ScriptedApp, startScriptedApp } from '../../support/scripted-app.ts'

const CALLS = 50
const ROOM = 3

describeDatabases('a budget with room for few', (kind) => {
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

  const post = (path: string, fields: object = {}) =>
    rawRequest(app.baseUrl, {
      path,
      headers: { 'x-api-key': user.token },
      body: messagesBody(fields),
    })
  const send = () => post('/v1/messages', { stream: true })
  const day = async () => {
    const row = await app.app.db
      .selectFrom('spending')
      .select(['spentNanoUsd', 'reservedNanoUsd'])
      .where('userId', '=', user.userId)
      .where('period', '=', 'day')
      .executeTakeFirst()
    return { spent: Number(row?.spentNanoUsd ?? 0), reserved: Number(row?.reservedNanoUsd ?? 0) }
  }
  const answerWith = (outputTokens: number) => (res: ServerResponse) =>
    void res
      .writeHead(200, STREAM_HEADERS)
      .end(START + TEXT + BLOCK_END + delta(outputTokens) + STOP)

  /** What is held for one call of {@link send}. */
  async function holdOfOne(): Promise<number> {
    let held = 0
    origin.script(async (res) => {
      held = (await day()).reserved
      answerWith(1)(res)
    })
    expect((await send()).status).toBe(200)
    await expect.poll(async () => (await day()).reserved).toBe(0)
    expect(held).toBeGreaterThan(0)
    return held
  }

  async function limit(usd: number): Promise<void> {
    const client = await app.connect('legacy', user.accessToken)
    const set = await client.call('set_budget', { period: 'day', limit_usd: usd })
    if (set.isError) throw new Error(set.text)
  }

  const statuses = (answers: readonly RawAnswer[]) => {
    const counted: Record<number, number> = {}
    for (const { status } of answers) counted[status] = (counted[status] ?? 0) + 1
    return counted
  }

  test('fifty at once: what fits runs, what others hold is 429, what is spent is 402', async () => {
    const most = (await holdOfOne()) * (ROOM + 0.5) + (await day()).spent
    await limit(most / 1e9)
    origin.asked.splice(0)
    let goOn = () => {}
    const gate = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const held = Array.from({ length: ROOM }, () => async (res: ServerResponse) => {
      await gate
      answerWith(900)(res)
    })
    origin.script(...held)
    const answers: RawAnswer[] = []
    const all = Array.from({ length: CALLS }, async () => {
      answers.push(await send())
    })
    // The others have waited for as long as they may.
    await vi.waitUntil(() => answers.length === CALLS - ROOM, { timeout: 120_000, interval: 20 })
    expect(origin.asked).toHaveLength(ROOM)
    expect((await day()).reserved).toBeLessThanOrEqual(most)
    expect(statuses(answers)).toEqual({ 429: CALLS - ROOM })
    for (const { headers, json } of answers) {
      expect(headers['retry-after']).toBe('5')
      expect(headers['x-should-retry']).toBeUndefined()
      expect(json.error.type).toBe('rate_limit_error')
    }
    goOn()
    await Promise.all(all)
    expect(statuses(answers)).toEqual({ 200: ROOM, 429: CALLS - ROOM })

    // Those that were in the way have ended: there is room again, until it is spent.
    let answer: RawAnswer
    let later = 0
    do {
      origin.script(answerWith(900))
      answer = await send()
      later += 1
    } while (answer.status === 200)
    expect(later).toBeGreaterThan(1)
    expect(answer).toMatchObject({
      status: 402,
      headers: { 'x-should-retry': 'false' },
      json: { error: { type: 'billing_error' } },
    })
    const end = await day()
    expect(end.reserved).toBe(0)
    expect(end.spent).toBeLessThanOrEqual(most)

    // What is free goes on, as many at once as a client asks for.
    origin.asked.splice(0)
    origin.script(...Array.from({ length: 24 }, () => (res: ServerResponse) => void res.end('{}')))
    const counts = Array.from({ length: 24 }, () => post('/v1/messages/count_tokens'))
    expect(statuses(await Promise.all(counts))).toEqual({ 200: 24 })
  })
})
