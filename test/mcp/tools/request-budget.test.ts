/** Asking for a higher limit, deciding about it, and what it changes until its period is over. */

import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Caller } from '../../../src/services/access/caller.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'
import { callerOf, newTeam, type TestTeam } from '../../support/teams.ts'

const CANARY = 'canary of a reason'
type Person = TestUser & { client: TestClient; caller: Caller }

describeDatabases('a request for a higher limit', (kind) => {
  let app: TestApp
  let [ada, bob, cyd, eve, boss] = [] as unknown as Person[] as [
    Person,
    Person,
    Person,
    Person,
    Person,
  ]
  let team: TestTeam

  const person = async (name?: string): Promise<Person> => {
    const user = await app.register(name)
    const client = await app.connect('modern', user.accessToken)
    return { ...user, client, caller: await callerOf(app, user) }
  }
  beforeAll(async () => {
    app = await startApp({
      kind,
      env: { ADMIN_USERNAMES: 'the-boss', BUDGET_USD_PER_MONTH: '0.001', LOG_LEVEL: 'debug' },
    })
    boss = await person('the-boss')
    ada = await person()
  })
  beforeEach(async () => {
    ;[bob, cyd, eve] = [await person(), await person(), await person()]
    team = await newTeam(app, [ada, bob, cyd])
    await app.app.services.teamMembers.setRole(ada.caller, team.id, cyd.username, 'admin')
  })
  afterAll(() => app.close())

  const CENT = 10_000_000n
  const cap = (username: string | null, nanoUsd: bigint | null, period: 'day' | 'month' = 'day') =>
    app.app.services.teamBudgets.setCap(
      ada.caller,
      team.id,
      username,
      period,
      nanoUsd === null ? null : { nanoUsd, tokens: null },
    )
  const send = async ({ client }: Person, more: Record<string, unknown> = {}) =>
    (await client.call('send_message', { message: 'hello', ...more })).structured
  const sendForTeam = (who: Person) => send(who, { pay_with: `team:${team.id}` })
  const codeOf = async (sent: ReturnType<typeof send>) => (await sent).error?.code ?? 'ok'
  const ask = async ({ client }: Person, more: Record<string, unknown> = {}) => {
    const args = { team: team.name, limit_usd: 1, reason: CANARY, ...more }
    return (await client.call('request_budget', args)).structured
  }
  const decide = async (
    { client }: Person,
    request_id: string,
    more: Record<string, unknown> = { decision: 'approve' },
  ) => {
    const args = { team: team.id, action: 'decide_request', request_id, ...more }
    return (await client.call('manage_team', args)).structured
  }
  const seenBy = async ({ client }: Person) =>
    (await client.call('get_teams', { team: team.id })).structured.data?.requests
  const codes = async (...calls: Promise<{ error?: { code: string } }>[]) =>
    (await Promise.all(calls)).map(({ error }) => error?.code ?? 'ok')

  test('is named by the error, sees those who can decide, and raises the part until its period is over', async () => {
    await cap(bob.username, 1n)
    expect((await sendForTeam(bob)).error).toMatchObject({
      code: 'budget_exceeded',
      message: expect.stringContaining('request_budget'),
      details: {
        limited_by: 'member_day',
        raise_with: 'claude-api-gateway_request_budget',
        ask: [ada.username, cyd.username].sort(),
      },
    })
    const { data } = await ask(bob)
    expect(data.asked.sort()).toEqual([ada.username, cyd.username].sort())
    const shown = {
      request_id: data.request_id,
      username: bob.username,
      about: 'member',
      period: 'day',
      limit_usd: 1,
      reason: CANARY,
    }
    for (const who of [ada, cyd, bob]) expect(await seenBy(who)).toMatchObject([shown])
    expect(await decide(cyd, data.request_id)).toMatchObject({ success: true })
    expect(await codeOf(sendForTeam(bob))).toBe('ok')
    expect(await seenBy(ada)).toEqual([])
    const { books } = (await bob.client.call('get_budget')).structured.data
    expect(books).toContainEqual(
      expect.objectContaining({ book: 'member', team: team.name, period: 'day', limit_usd: 1 }),
    )
    await sql`update budget_requests set until = now() where id = ${data.request_id}`.execute(
      app.app.db,
    )
    expect(await codeOf(sendForTeam(bob))).toBe('budget_exceeded')
  })

  test('is decided once, by one of two who decide at once', async () => {
    await cap(bob.username, 1n)
    const { data } = await ask(bob)
    const both = await codes(
      decide(ada, data.request_id, { decision: 'approve' }),
      decide(cyd, data.request_id, { decision: 'deny' }),
    )
    expect(both.sort()).toEqual(['not_found', 'ok'])
    const { rows } = await sql<{ state: string; events: number }>`
      select r.state, (select count(*)::integer from audit_events e
        where e.action = 'budget.decided' and e.detail like '%' || r.id || '%') as events
      from budget_requests r where id = ${data.request_id}`.execute(app.app.db)
    expect(rows).toMatchObject([{ events: 1 }])
    expect(await codeOf(sendForTeam(bob))).toBe(
      rows[0]?.state === 'approved' ? 'ok' : 'budget_exceeded',
    )
  })

  test('is decided only by those who manage the team, and read by nobody else', async () => {
    await cap(null, 1n)
    const { data } = await ask(bob)
    const dan = await person()
    await app.app.services.teamMembers.add(dan.userId, team.id, 'member')
    expect(await seenBy(dan)).toEqual([])
    expect((await decide(dan, data.request_id)).error.code).toBe('forbidden')
    expect((await decide(bob, data.request_id)).error.code).toBe('forbidden')
    expect((await decide(eve, data.request_id)).error.code).toBe('not_found')
    expect((await decide(boss, data.request_id)).error.code).toBe('not_found')
    const others = await newTeam(app, [eve])
    const elsewhere = await decide(eve, data.request_id, { decision: 'approve', team: others.id })
    expect(elsewhere.error.code).toBe('not_found')
    const stolen = { withdraw: data.request_id }
    for (const who of [ada, cyd, dan, eve]) {
      const { structured } = await who.client.call('request_budget', stolen)
      expect(structured.error.code).toBe('not_found')
    }
    expect(await seenBy(ada)).toHaveLength(1)
    const own = await ask(cyd)
    expect((await decide(cyd, own.data.request_id)).error.code).toBe('forbidden')
    expect(await decide(ada, own.data.request_id)).toMatchObject({ success: true })
  })

  test('can be granted with another amount, denied, and taken back', async () => {
    await cap(bob.username, 1n)
    const one = await ask(bob)
    const tooLittle = { decision: 'approve', limit_usd: 0 }
    expect((await decide(ada, one.data.request_id, tooLittle)).error.code).toBe('invalid_input')
    expect(await decide(ada, one.data.request_id, { decision: 'deny' })).toMatchObject({
      success: true,
    })
    expect(await codeOf(sendForTeam(bob))).toBe('budget_exceeded')
    const two = await ask(bob)
    const back = { withdraw: two.data.request_id }
    expect((await bob.client.call('request_budget', back)).isError).toBe(false)
    const again = (await bob.client.call('request_budget', back)).structured.error
    expect(again).toMatchObject({ code: 'not_found', details: { field: 'withdraw' } })
    const decided = (await decide(ada, two.data.request_id)).error
    expect(decided).toMatchObject({ code: 'not_found', details: { field: 'request_id' } })
    const other = { decision: 'approve', limit_usd: '$0.50' }
    const { data } = await ask(bob)
    expect(await decide(ada, data.request_id, other)).toMatchObject({ success: true })
    const { books } = (await bob.client.call('get_budget')).structured.data
    const part = books.find(({ book }: { book: string }) => book === 'member')
    expect(part).toMatchObject({ limit_usd: 0.5, binding: true, set_by: 'team' })
  })

  test('is one of its book and period, however often and at once it is asked', async () => {
    await cap(bob.username, 1n)
    const openIn = async (whose: Person) => {
      const { rows } = await sql<{ id: string }>`
        select id from budget_requests
        where user_id = ${whose.userId} and state = 'open'`.execute(app.app.db)
      return rows.map(({ id }) => id)
    }
    const both = await Promise.all([ask(bob), ask(bob), ask(bob), ask(bob)])
    const [id, ...others] = new Set(both.map(({ data }) => data.request_id))
    expect(others).toEqual([])
    expect(await openIn(bob)).toEqual([id])
    const amounts = await Promise.all([2, 3, 4, 5].map((limit_usd) => ask(bob, { limit_usd })))
    const [last] = await openIn(bob)
    expect(await openIn(bob)).toHaveLength(1)
    expect(amounts.map(({ data }) => data.request_id)).toContain(last)
    // Those who decide have read the one before: they decide about nothing else.
    expect((await decide(ada, id as string)).error.code).toBe('not_found')
    const reworded = await ask(bob, { limit_usd: 5, reason: 'for the report' })
    expect(await seenBy(ada)).toMatchObject([
      { request_id: reworded.data.request_id, limit_usd: 5, reason: 'for the report' },
    ])
    const events = await app.app.repositories.auditEvents.list(team.id, '0', 100)
    const asked = events.filter(({ action }) => action === 'budget.requested')
    expect(asked).toHaveLength(6)
    expect(JSON.parse(asked.at(-1)?.detail ?? '')).toMatchObject({ replaces: last })
    // Another person, book or period is another request.
    await cap(null, 1n)
    await ask(cyd)
    await cap(bob.username, null)
    await cap(null, null)
    await cap(bob.username, 1n, 'month')
    await ask(bob)
    const own = await ask(bob, { team: undefined })
    expect(await openIn(bob)).toHaveLength(3)
    await bob.client.call('request_budget', { withdraw: own.data.request_id })
    expect(await openIn(cyd)).toHaveLength(1)
  })

  test('ends with a new limit, and with the membership', async () => {
    await cap(bob.username, 1n)
    await decide(ada, (await ask(bob)).data.request_id)
    expect(await codeOf(sendForTeam(bob))).toBe('ok')
    await cap(bob.username, 2n)
    expect(await codeOf(sendForTeam(bob))).toBe('budget_exceeded')
    await decide(ada, (await ask(bob)).data.request_id)
    const open = await ask(bob, { limit_usd: 2 })
    const { teamMembers } = app.app.services
    await teamMembers.remove(ada.caller, team.id, bob.username)
    expect((await decide(ada, open.data.request_id)).error.code).toBe('not_found')
    await teamMembers.add(bob.userId, team.id, 'member')
    expect(await codeOf(sendForTeam(bob))).toBe('budget_exceeded')
    expect(await seenBy(ada)).toEqual([])
  })

  test('raises the pool where that stops, up to what the installation allows', async () => {
    const { services } = app.app
    const pool = (actor: Parameters<typeof services.teamBudgets.setPool>[0], nanoUsd: bigint) =>
      services.teamBudgets.setPool(actor, team.id, [
        { period: 'month', change: { nanoUsd, tokens: null } },
      ])
    await pool(ada.caller, 1n)
    await pool('operator', 2n * CENT)
    const stopped = (await sendForTeam(bob)).error
    expect(stopped.details).toMatchObject({ limited_by: 'team_month', ask: expect.any(Array) })
    expect(stopped.details.ask).toContain(cyd.username)
    const { data } = await ask(bob, { limit_usd: 5 })
    expect(await seenBy(ada)).toMatchObject([{ about: 'team', period: 'month' }])
    const beyond = await decide(ada, data.request_id)
    expect(beyond.error).toMatchObject({ code: 'forbidden', details: { limit_usd: 0.02 } })
    const within = { decision: 'approve', limit_usd: 0.02 }
    expect(await decide(ada, data.request_id, within)).toMatchObject({ success: true })
    expect(await codeOf(sendForTeam(bob))).toBe('ok')
    await pool('operator', 2n)
    const beyondTeam = (await sendForTeam(bob)).error.details
    expect(beyondTeam).toMatchObject({ limited_by: 'team_month', ask: [boss.username] })
    const again = await ask(bob, { limit_usd: 5 })
    expect(again.data.asked).toEqual([boss.username])
    await services.requestDecisions.decideAny(again.data.request_id, { isApproved: true })
    // The installation raises both limits.
    expect(await codeOf(sendForTeam(bob))).toBe('ok')
  })

  test('is not offered where tokens stop, and those are named who set that limit', async () => {
    const { teamBudgets, budgetSettings } = app.app.services
    const [room, oneToken] = [1000n * CENT, { nanoUsd: null, tokens: 1 }]
    await teamBudgets.setPool('operator', team.id, [
      { period: 'month', change: { nanoUsd: room, tokens: null } },
    ])
    await teamBudgets.setPool(ada.caller, team.id, [{ period: 'month', change: oneToken }])
    const { details, message } = (await sendForTeam(bob)).error
    expect(details).toMatchObject({ limited_by: 'team_month', limit_tokens: 1 })
    expect([...details.ask].sort()).toEqual([ada.username, cyd.username].sort())
    expect(details.raise_with).toBeUndefined()
    expect(message).not.toContain('request_budget')
    const own = { nanoUsd: room, tokens: 1 }
    await budgetSettings.set(boss.caller, bob.username, 'month', own)
    const stopped = (await send(bob)).error
    expect(stopped.code).toBe('budget_exceeded')
    expect(stopped.message).not.toContain('request_budget')
    await budgetSettings.set(boss.caller, bob.username, 'month', { nanoUsd: 1n, tokens: null })
    expect((await send(bob)).error.details.ask).toEqual([boss.username])
  })

  test('about one’s own limit goes to the admins of the installation', async () => {
    const stopped = (await send(eve)).error
    expect(stopped).toMatchObject({
      code: 'budget_exceeded',
      details: { raise_with: 'claude-api-gateway_request_budget', ask: [boss.username] },
    })
    const { data } = await ask(eve, { team: undefined })
    expect(data.asked).toEqual([boss.username])
    const { budgetRequests, requestDecisions } = app.app.services
    expect(await budgetRequests.listForAdmin(boss.caller, null)).toMatchObject([
      { username: eve.username, reason: CANARY, book: 'user' },
    ])
    for (const who of [ada, bob, eve]) {
      await expect(budgetRequests.listForAdmin(who.caller, null)).rejects.toMatchObject({
        code: 'forbidden',
      })
      await expect(
        requestDecisions.decide(who.caller, data.request_id, { isApproved: true }),
      ).rejects.toMatchObject({ code: 'forbidden' })
    }
    expect((await decide(ada, data.request_id)).error.code).toBe('not_found')
    await requestDecisions.decide(boss.caller, data.request_id, { isApproved: true })
    expect(await codeOf(send(eve))).toBe('ok')
    await boss.client.call('set_budget', {
      username: eve.username,
      period: 'month',
      limit_usd: 0.0001,
    })
    expect(await codeOf(send(eve))).toBe('budget_exceeded')
    const own = await ask(boss, { team: undefined })
    await expect(
      requestDecisions.decide(boss.caller, own.data.request_id, { isApproved: true }),
    ).rejects.toMatchObject({ code: 'forbidden' })
  })

  test('is refused where nothing is to be raised, and for too many of them', async () => {
    expect((await ask(bob)).error.code).toBe('invalid_input')
    await cap(bob.username, 2n * CENT)
    const wrong = [{ limit_usd: 0.02 }, { reason: ' ' }, { reason: 'x'.repeat(301) }, {}]
    for (const [index, more] of wrong.entries()) {
      const code = (await ask(bob, more)).error?.code ?? 'ok'
      expect(code, JSON.stringify(more)).toBe(index < 3 ? 'invalid_input' : 'ok')
    }
    expect((await ask(eve)).error.code).toBe('not_found')
    const { teams, teamMembers, teamBudgets } = app.app.services
    const more = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const { id } = await teams.add(ada.userId, `More of ${bob.username} ${index}`)
        await teamMembers.add(bob.userId, id, 'member')
        const least = { nanoUsd: 1n, tokens: null }
        await teamBudgets.setCap('operator', id, null, 'day', least)
        return id
      }),
    )
    const many = await codes(...more.map((id) => ask(bob, { team: id })))
    expect(many.filter((code) => code === 'ok')).toHaveLength(4)
    expect(new Set(many)).toEqual(new Set(['ok', 'invalid_input']))
    // In place of one that is open it is no further one.
    expect((await ask(bob, { limit_usd: 3 })).success).toBe(true)
    for (let asked = 6; asked < 20; asked++) await ask(bob, { limit_usd: asked })
    expect((await ask(bob, { limit_usd: 1000 })).error.code).toBe('rate_limited')
    await app.app.services.teams.archive(ada.caller, team.id)
    expect((await ask(cyd)).error.code).toBe('forbidden')
  })

  test('is sealed, recorded by its figures, and never logged', async () => {
    await cap(bob.username, 1n)
    const { data } = await ask(bob)
    await decide(ada, data.request_id, { decision: 'deny' })
    const events = await app.app.repositories.auditEvents.list(team.id, '0', 100)
    const about = events.filter(({ action }) => /^budget\.(requested|decided)$/.test(action))
    expect(about.map(({ action }) => action)).toEqual(['budget.requested', 'budget.decided'])
    expect(JSON.parse(about[0]?.detail ?? '')).toEqual({
      request: data.request_id,
      book: 'member',
      period: 'day',
      nanoUsd: '1000000000',
    })
    const { rows } = await sql<{ text: string }>`
      select r::text as text from budget_requests r
      union all select e::text from audit_events e`.execute(app.app.db)
    for (const { text } of rows) {
      expect(text).not.toContain(CANARY)
      expect(text).not.toContain(Buffer.from(CANARY).toString('hex'))
    }
    expect(app.logLines.join('')).not.toContain(CANARY)
  })

  test('needs a live session and the scope', async () => {
    await cap(bob.username, 1n)
    await sql`update sessions set scopes = '{usage:read}' where user_id = ${bob.userId}`.execute(
      app.app.db,
    )
    const { budgetRequests } = app.app.services
    const wish = { team: team.id, nanoUsd: CENT, reason: 'why not' }
    await expect(budgetRequests.ask(bob.caller, wish)).rejects.toMatchObject({
      code: 'insufficient_scope',
    })
    await sql`delete from sessions where user_id = ${bob.userId}`.execute(app.app.db)
    await expect(budgetRequests.ask(bob.caller, wish)).rejects.toMatchObject({
      code: 'unauthenticated',
    })
  })

  test('is not needed to see what is left: every book that binds, and the pool of each team', async () => {
    const { services } = app.app
    await services.teamBudgets.setPool(ada.caller, team.id, [
      { period: 'day', change: { nanoUsd: CENT, tokens: null } },
    ])
    await cap(null, 2n * CENT)
    const { data } = (await bob.client.call('get_teams')).structured
    expect(data.teams[0].pool_left).toMatchObject([{ period: 'day', left_usd: 0.01 }])
    const { books } = (await bob.client.call('get_budget')).structured.data
    const short = books.map((book: Record<string, unknown>) =>
      [book.book, book.period, book.set_by, book.left_usd, book.binding].join(' '),
    )
    expect(short).toEqual([
      'own month default 0.001 true',
      'team day team 0.01 true',
      'member day team 0.02 false',
    ])
    const read = (await bob.client.call('get_teams', { team: team.id })).structured.data
    expect(read.caps).toEqual([
      { username: null, period: 'day', limit_usd: 0.02, limit_tokens: null },
    ])
    await cap(cyd.username, CENT)
    const seen = async (who: Person) =>
      (await who.client.call('get_teams', { team: team.id })).structured.data.caps.length
    expect([await seen(bob), await seen(ada)]).toEqual([1, 2])
  })
})
