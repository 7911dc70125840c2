/** The Messages API paid by a team: the one purse of a token, with its key and its books. */

import type { ServerResponse } from 'node:http'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Scope } from '../../../src/services/access/scopes.ts'
import {
  BLOCK_END,
  delta,
  messagesBody,
  START,
  STOP,
  STREAM_HEADERS,
  TEXT,
} from '../../support/api-exchange.ts'
import { describeDatabases } from '../../support/databases.ts'
import { lockWaiters } from '../../support/lock-waiters.ts'
import { openRequest, rawRequest } from '../../support/raw-request.ts'
import { type ScriptedApp, startScriptedApp } from '../../support/scripted-app.ts'
import { browserSession } from '../../support/signed-up.ts'
import type { TestUser } from '../../support/start-app.ts'
import { callerOf, limitTeam, newTeam, type TestTeam } from '../../support/teams.ts'

const API: readonly Scope[] = ['messages:api']

describeDatabases('calls of the Messages API that a team pays for', (kind) => {
  let { origin, app, close } = {} as ScriptedApp
  /** Ada owns the team, and bob is in it. */
  let [ada, bob] = [] as unknown as [TestUser, TestUser]
  let team: TestTeam
  let token: string
  let count = 0

  const newToken = async (
    user: TestUser,
    purses: string[],
    more: { limitNanoUsd?: bigint; scopes?: readonly Scope[] } = {},
  ) => {
    const { scopes = API, ...terms } = more
    const made = await app.app.services.personalTokens.create(
      await browserSession(app, user.userId),
      {
        name: `token ${++count}`,
        scopes,
        expiresAt: new Date(Date.now() + 3_600_000),
        purses,
        ...terms,
      },
    )
    return made.token
  }

  beforeAll(async () => {
    ;({ origin, app, close } = await startScriptedApp(kind))
  })
  beforeEach(async () => {
    origin.asked.splice(0)
    ;[ada, bob] = [await app.register(), await app.register()]
    team = await newTeam(app, [ada, bob])
    token = await newToken(bob, [team.id])
  })
  afterAll(() => close())

  const db = () => app.app.db
  const post = (path = '/v1/messages', fields: object = {}, by = token) =>
    rawRequest(app.baseUrl, {
      path,
      headers: { 'x-api-key': by },
      body: messagesBody(fields),
    })
  const answer = (res: ServerResponse) =>
    void res
      .writeHead(200, { ...STREAM_HEADERS, 'anthropic-organization-id': 'org-of-the-key' })
      .end(START + TEXT + BLOCK_END + delta(90) + STOP)
  const send = (fields: object = {}, by = token) => {
    origin.script(answer)
    return post('/v1/messages', { stream: true, ...fields }, by)
  }
  const keyAsked = () => origin.asked.at(-1)?.headers.authorization
  const keyOf = ({ apiKey }: { apiKey: string }) => `Bearer ${apiKey}`
  const lines = () =>
    db().selectFrom('ledger').selectAll().where('userId', '=', bob.userId).orderBy('id').execute()
  const held = async () => {
    const { rows } = await sql<{ tokens: string }>`
      select coalesce(sum(reserved_tokens), 0) as tokens from team_spending
      where team_id = ${team.id}`.execute(db())
    return Number(rows[0]?.tokens)
  }
  const drift = () => app.app.repositories.ledgerAudit.listDrift()

  test("are made with the team's key, and booked on its books", async () => {
    const { status, headers } = await send()
    expect(status).toBe(200)
    expect(headers['anthropic-organization-id']).toBeUndefined()
    expect(keyAsked()).toBe(keyOf(team))
    await expect.poll(held).toBe(0)
    const [line] = await lines()
    expect(line).toMatchObject({
      source: 'messages',
      payer: 'team',
      teamId: team.id,
      keyId: expect.any(String),
      keyLastFour: team.apiKey.slice(-4),
      outputTokens: 90,
    })
    const pool = await app.app.repositories.teamBudgets.findPoolSpending(team.id, {
      day: line?.bookedOn ?? '',
      month: `${line?.bookedOn.slice(0, 7)}-01`,
    })
    expect(pool.map(({ spent }) => spent.tokens)).toEqual([100, 100])
    const own = await db()
      .selectFrom('spending')
      .select(['spentTokens', 'teamSpentTokens'])
      .where('userId', '=', bob.userId)
      .execute()
    expect(own).toEqual(Array(2).fill({ spentTokens: '0', teamSpentTokens: '100' }))
    expect(await drift()).toEqual([])
  })

  test("without a purse are made with the user's own key, whose end is booked too", async () => {
    const own = await newToken(bob, [])
    const { headers } = await send({}, own)
    expect(headers['anthropic-organization-id']).toBe('org-of-the-key')
    expect(keyAsked()).toBe(keyOf(bob))
    await expect.poll(async () => (await lines()).length).toBe(1)
    expect(await lines()).toMatchObject([
      { payer: 'user', teamId: null, keyId: null, keyLastFour: bob.apiKey.slice(-4) },
    ])
    expect(await drift()).toEqual([])
  })

  test('that cost nothing use the same key', async () => {
    for (const [method, path] of [
      ['POST', '/v1/messages/count_tokens'],
      ['GET', '/v1/models'],
    ] as const) {
      origin.script((res) => void res.end('{}'))
      const body = method === 'POST' ? messagesBody() : undefined
      const asked = { method, path, headers: { 'x-api-key': token }, ...(body && { body }) }
      expect((await rawRequest(app.baseUrl, asked)).status).toBe(200)
      expect(keyAsked()).toBe(keyOf(team))
    }
  })

  test('need no key of the user, and a token with one purse at most', async () => {
    await app.app.services.accounts.removeKey(await callerOf(app, bob))
    expect((await send()).status).toBe(200)
    const second = await newTeam(app, [bob])
    await expect(newToken(bob, [team.id, second.id])).rejects.toMatchObject({
      code: 'invalid_input',
      details: { field: 'purses' },
    })
    await newToken(bob, [team.id, second.id], { scopes: ['messages:send'] })
  })

  test('are stopped by the pool, the part of a member and the limit of the token', async () => {
    await limitTeam(app, team, { member: 5, memberId: bob.userId })
    const part = await post('/v1/messages', { stream: true })
    expect(part).toMatchObject({
      status: 402,
      headers: { 'x-should-retry': 'false' },
      json: { error: { type: 'billing_error' } },
    })
    expect(part.json.error.message).toContain(`Your part of the budget of ${team.name}`)
    expect(part.json.error.message).toContain(ada.username)
    await limitTeam(app, team, { pool: 5, period: 'month' })
    const adas = await newToken(ada, [team.id])
    const pool = await post('/v1/messages', { stream: true }, adas)
    expect(pool.status).toBe(402)
    expect(pool.json.error.message).toContain(`The budget of the team ${team.name} for this month`)
    const rich = await newTeam(app, [ada, bob])
    const capped = await newToken(bob, [rich.id], { limitNanoUsd: 1000n })
    const own = await post('/v1/messages', { stream: true }, capped)
    expect(own.status).toBe(402)
    expect(own.json.error.message).toContain("This token's own limit")
    expect(origin.asked).toEqual([])
    expect(await drift()).toEqual([])
  })

  test('wait for what other members hold, and are then told to come back', async () => {
    const adas = await newToken(ada, [team.id])
    let free = () => {}
    const gate = new Promise<void>((resolve) => {
      free = resolve
    })
    origin.script(async (res) => {
      await gate
      answer(res)
    })
    const first = post('/v1/messages', { stream: true }, adas)
    await expect.poll(() => origin.asked.length).toBe(1)
    // Of the day and of the month.
    await limitTeam(app, team, { pool: Math.ceil((await held()) * 0.75) })
    const refused = await post('/v1/messages', { stream: true })
    expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': '5' } })
    origin.script(answer)
    const waiting = post('/v1/messages', { stream: true })
    free()
    expect([(await first).status, (await waiting).status]).toEqual([200, 200])
    expect(await drift()).toEqual([])
  })

  test.each(['removed', 'archived', 'without a key'])(
    'are refused once the team is not theirs to spend (%s), and nobody else pays',
    async (how) => {
      const { services } = app.app
      const owner = await callerOf(app, ada)
      if (how === 'removed') await services.teamMembers.remove(owner, team.id, bob.username)
      else if (how === 'archived') await services.teams.archive(owner, team.id)
      else await services.teamKeys.remove(owner, team.id)
      for (const path of ['/v1/messages', '/v1/messages/count_tokens']) {
        const refused = await post(path)
        expect(refused).toMatchObject({
          status: 403,
          headers: { 'x-should-retry': 'false' },
          json: { error: { type: 'permission_error' } },
        })
        expect(refused.json.error.message).toMatch(/team/)
      }
      expect(origin.asked).toEqual([])
    },
  )

  test('end when their user is taken out of the team, and are booked on it', async () => {
    origin.script((res) => void res.writeHead(200, STREAM_HEADERS).write(START + TEXT))
    const running = await openRequest(app.baseUrl, {
      path: '/v1/messages',
      headers: { 'x-api-key': token },
      body: messagesBody({ stream: true }),
    })
    const ended = (async () => {
      let text = ''
      for await (const chunk of running) text += chunk
      return text
    })().catch(() => 'cut')
    await expect.poll(() => origin.asked.length).toBe(1)
    await app.app.services.teamMembers.remove(await callerOf(app, ada), team.id, bob.username)
    expect(await ended).not.toContain('message_stop')
    await expect.poll(held).toBe(0)
    expect(await lines()).toMatchObject([
      { payer: 'team', teamId: team.id, status: 'cancelled', estimated: 'stream_cancelled' },
    ])
    expect(await drift()).toEqual([])
  })

  test('settle on the books and the key that they were held for, whatever became of the key', async () => {
    const before = team.apiKey.slice(-4)
    let free = () => {}
    const gate = new Promise<void>((resolve) => {
      free = resolve
    })
    origin.script(async (res) => {
      await gate
      answer(res)
    })
    const running = post('/v1/messages', { stream: true })
    await expect.poll(() => origin.asked.length).toBe(1)
    const owner = await callerOf(app, ada)
    await app.app.services.teamKeys.replace(owner, team.id, 'sk-ant-api03-the-next-key-of-all-9999')
    expect((await send()).status).toBe(200)
    expect(keyAsked()).toMatch(/9999$/)
    await app.app.services.teamKeys.remove(owner, team.id)
    free()
    expect((await running).status).toBe(200)
    await expect.poll(held).toBe(0)
    const booked = await lines()
    expect(booked.map(({ keyLastFour }) => keyLastFour).sort()).toEqual(['9999', before].sort())
    expect(new Set(booked.map(({ keyId }) => keyId)).size).toBe(2)
    expect(await drift()).toEqual([])
  })

  test("mark a key that Anthropic rejects as the team's", async () => {
    origin.script((res) => void res.writeHead(401).end('{}'))
    const refused = await post()
    expect(refused.status).toBe(403)
    expect(refused.json.error.message).toContain(team.name)
    const status = async () =>
      (await app.app.services.teamKeys.status(await callerOf(app, bob), team.id))?.rejectedAt
    await expect.poll(status).toBeInstanceOf(Date)
    expect((await send()).status).toBe(200)
    await expect.poll(status).toBeNull()
  })

  test('name nothing that Anthropic keeps for all who use the key', async () => {
    const file = { type: 'document', source: { type: 'file', file_id: 'file_of_somebody' } }
    const own = await newToken(bob, [])
    for (const fields of [
      { messages: [{ role: 'user', content: [file] }] },
      { container: 'container_of_somebody' },
      { thread: { previous_message_id: 'msg_of_somebody' } },
    ]) {
      for (const path of ['/v1/messages', '/v1/messages/count_tokens']) {
        const refused = await post(path, fields)
        expect(refused).toMatchObject({ status: 400, json: { error: { type: 'policy_blocked' } } })
      }
      origin.script((res) => void res.end('{}'))
      expect((await post('/v1/messages/count_tokens', fields, own)).status).toBe(200)
    }
    expect(origin.asked).toHaveLength(3)
  })

  test('do not begin for a member who is removed meanwhile', async () => {
    if (kind === 'embedded') return expect((await send()).status).toBe(200)
    let sending: ReturnType<typeof send> | undefined
    await db()
      .transaction()
      .execute(async (tx) => {
        await sql`select from teams where id = ${team.id} for no key update`.execute(tx)
        sending = post('/v1/messages', { stream: true })
        await expect.poll(() => lockWaiters(db())).toBeGreaterThan(0)
        await sql`delete from team_members where user_id = ${bob.userId}`.execute(tx)
      })
    expect(await sending).toMatchObject({ status: 403 })
    expect(origin.asked).toEqual([])
    expect(await drift()).toEqual([])
  })
})
