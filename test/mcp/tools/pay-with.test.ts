/** Messages that a team pays for: whose key, whose books, and who may. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { periodsAt } from '../../../src/repositories/billing/periods.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'
import { callerOf, limitTeam, newTeam, type TestTeam } from '../../support/teams.ts'

describeDatabases('a message that a team pays for', (kind) => {
  let app: TestApp
  let ada: TestUser
  let bob: TestUser
  let eve: TestUser
  let adas: TestClient
  let bobs: TestClient
  let eves: TestClient
  let team: TestTeam

  beforeAll(async () => {
    app = await startApp({ kind })
    ;[ada, bob, eve] = [await app.register(), await app.register(), await app.register()]
    adas = await app.connect('legacy', ada.accessToken)
    bobs = await app.connect('modern', bob.accessToken)
    eves = await app.connect('modern', eve.accessToken)
    team = await newTeam(app, [ada, bob])
  })
  afterAll(() => app.close())

  const db = () => app.app.db
  const send = (client: TestClient, payer: string, more: Record<string, unknown> = {}) =>
    client.call('send_message', { message: 'hello', pay_with: payer, ...more })
  const by = ({ id }: TestTeam) => `team:${id}`
  const errorOf = async (answer: ReturnType<typeof send>) => (await answer).structured.error
  const drift = () => app.app.repositories.ledgerAudit.listDrift()

  const poolOf = ({ id }: TestTeam) =>
    db()
      .selectFrom('teamSpending')
      .select(['period', 'spentTokens', 'spentNanoUsd', 'reservedTokens', 'reservedNanoUsd'])
      .where('teamId', '=', id)
      .orderBy('period')
      .execute()

  test("is sent with the team's key, and booked on the team's books", async () => {
    const answer = await send(bobs, by(team), { tag: 'first' })
    const { data } = answer.structured
    expect(data).toMatchObject({
      status: 'complete',
      sender: bob.username,
      paid_by: { kind: 'team', team: team.name, key_last_four: team.apiKey.slice(-4) },
    })
    expect(app.claude.messageRequests().at(-1)?.key).toBe(team.apiKey)
    const line = await db()
      .selectFrom('ledger')
      .selectAll()
      .where('messageId', '=', data.message_id)
      .executeTakeFirstOrThrow()
    expect(line).toMatchObject({
      userId: bob.userId,
      payer: 'team',
      teamId: team.id,
      keyLastFour: team.apiKey.slice(-4),
    })
    const tokens = data.usage.input_tokens + data.usage.output_tokens
    const spent = {
      spentTokens: String(tokens),
      spentNanoUsd: line.costNanoUsd,
      reservedTokens: '0',
      reservedNanoUsd: '0',
    }
    expect(await poolOf(team)).toEqual([
      { period: 'day', ...spent },
      { period: 'month', ...spent },
    ])
    const [own] = await app.app.repositories.budgets.findSpending(bob.userId, periodsAt(new Date()))
    expect(own?.spent).toEqual({ nanoUsd: 0n, tokens: 0 })
    const seen = await bobs.call('get_message', { message_id: data.message_id })
    expect(seen.structured.data.paid_by).toEqual(data.paid_by)
    const history = await bobs.call('get_conversation_history', {
      conversation_id: data.conversation_id,
    })
    expect(history.structured.messages.at(-1).paid_by).toEqual(data.paid_by)
    expect(await drift()).toEqual([])
  })

  test('is found by the name of the team, and not paid by it unless the call says so', async () => {
    const named = await send(bobs, `team:${team.name.toUpperCase()}`)
    expect(named.structured.data.paid_by).toMatchObject({ kind: 'team' })
    const { conversation_id } = named.structured.data
    const next = await bobs.call('send_message', { message: 'and on', conversation_id })
    expect(next.structured.data.paid_by).toEqual({
      kind: 'own',
      key_last_four: bob.apiKey.slice(-4),
    })
    expect(app.claude.messageRequests().at(-1)?.key).toBe(bob.apiKey)
    expect(await drift()).toEqual([])
  })

  test('needs no key of the sender', async () => {
    const dan = await app.register()
    await app.app.services.accounts.removeKey(await callerOf(app, dan))
    await app.app.services.teamMembers.add(dan.userId, team.id, 'member')
    const dans = await app.connect('modern', dan.accessToken)
    expect((await send(dans, by(team))).structured.data.paid_by.kind).toBe('team')
    expect(await errorOf(send(dans, 'own'))).toMatchObject({ code: 'api_key_missing' })
  })

  test('is refused to those who are not in the team, or no longer', async () => {
    const before = app.claude.messageRequests().length
    const missing = await errorOf(send(eves, by(team)))
    expect(missing).toMatchObject({ code: 'not_found', details: { field: 'pay_with' } })
    expect(await errorOf(send(eves, 'team:no such team'))).toEqual(missing)
    const left = await newTeam(app, [ada, eve])
    const caller = await callerOf(app, eve)
    await app.app.services.teamMembers.remove(caller, left.id, eve.username)
    expect(await errorOf(send(eves, by(left)))).toEqual(missing)
    const archived = await newTeam(app, [ada, eve])
    await app.app.services.teams.archive(await callerOf(app, ada), archived.id)
    expect(await errorOf(send(eves, by(archived)))).toMatchObject({ code: 'forbidden' })
    expect(app.claude.messageRequests()).toHaveLength(before)
  })

  test('never falls back to another key', async () => {
    const bare = await newTeam(app, [ada, bob])
    await app.app.services.teamKeys.remove(await callerOf(app, ada), bare.id)
    const before = app.claude.messageRequests().length
    const error = await errorOf(send(bobs, by(bare)))
    expect(error).toMatchObject({
      code: 'team_key_missing',
      details: { ask: [ada.username], url: expect.stringContaining(bare.id) },
    })
    expect(app.claude.messageRequests()).toHaveLength(before)
  })

  test("with a key that Anthropic rejects is not blamed on the member's own key", async () => {
    app.claude.script({ kind: 'status', status: 401 })
    const error = await errorOf(send(bobs, by(team)))
    expect(error.code).toBe('upstream_key_rejected')
    expect(error.message).toContain(`the key of the team ${team.name}`)
    expect(error.message).not.toContain('update_api_key')
    app.claude.script({ kind: 'status', status: 401 })
    expect((await errorOf(send(bobs, 'own'))).message).toContain('update_api_key')
  })

  test('is refused to a connection whose user did not allow it', async () => {
    const { userId } = bob
    const expiresAt = new Date('2999-01-01')
    const session = { userId, kind: 'connection' as const, expiresAt, name: 'a client' }
    const [row] = await db()
      .insertInto('sessions')
      .values({ id: crypto.randomUUID(), ...session })
      .returningAll()
      .execute()
    const connection = {
      ...(await callerOf(app, bob)),
      sessionId: row?.id ?? '',
      kind: 'connection',
    }
    const sent = app.app.services.messages.send(
      connection as Awaited<ReturnType<typeof callerOf>>,
      { message: 'hello', thinking: 'off', payWith: by(team) },
      { waitSeconds: 50, signal: new AbortController().signal },
    )
    await expect(sent).rejects.toMatchObject({ code: 'payer_required' })
  })

  test('is stopped by whichever limit is first, which the error names', async () => {
    const poor = await newTeam(app, [ada, bob])
    await limitTeam(app, poor, { pool: 100_000, period: 'month' })
    await limitTeam(app, poor, { member: 5, memberId: bob.userId })
    expect(await errorOf(send(bobs, by(poor)))).toMatchObject({
      code: 'budget_exceeded',
      details: { limited_by: 'member_day', limit_tokens: 5, ask: [ada.username] },
    })
    expect((await send(adas, by(poor))).structured.data.status).toBe('complete')
    await db().updateTable('teamBudgets').set({ limitTokens: '5' }).execute()
    for (const client of [adas, bobs]) {
      expect(await errorOf(send(client, by(poor)))).toMatchObject({
        code: 'budget_exceeded',
        details: { limited_by: 'team_month', limit_tokens: 5, ask: [ada.username] },
      })
    }
    expect(await drift()).toEqual([])
  })

  test('is limited by the tools of those who manage the team, and seen by its members', async () => {
    const { id, name } = await newTeam(app, [ada, bob])
    const set = await adas.call('set_budget', { team: name, period: 'day', limit_tokens: 9000 })
    expect(set.structured.data.budgets[0]).toMatchObject({ period: 'day', limit_tokens: 9000 })
    const cap = { team: id, action: 'set_cap', period: 'month', limit_usd: 2 }
    expect((await adas.call('manage_team', cap)).isError).toBe(false)
    await adas.call('manage_team', { ...cap, username: bob.username, limit_usd: '$1' })
    const seen = await bobs.call('get_budget', { team: id })
    expect(seen.structured.data.team).toMatchObject({ name, has_key: true })
    expect(seen.structured.data.team.budgets[0].remaining_tokens).toBe(9000)
    expect(seen.structured.data.team.yours[1].limit_usd).toBe(1)
    const adasView = await adas.call('get_budget', { team: id })
    expect(adasView.structured.data.team.yours[1].limit_usd).toBe(2)
    for (const [tool, args] of [
      ['set_budget', { team: id, period: 'day', limit_usd: 100 }],
      ['manage_team', cap],
    ] as const) {
      expect((await bobs.call(tool, args)).structured.error).toMatchObject({ code: 'forbidden' })
      expect((await eves.call(tool, args)).structured.error).toMatchObject({ code: 'not_found' })
    }
    expect((await eves.call('get_budget', { team: id })).structured.error.code).toBe('not_found')
  })
})
