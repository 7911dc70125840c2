/** What admins of the installation do about the money of a team that they are not in. */

import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { INSTALLATION_CHAIN } from '../../../../src/services/audit/audit-log.ts'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { PASSWORD, signUp, type Visitor } from '../visiting.ts'

const OWN = 'https://gateway.example'
const KEY = 'sk-ant-api03-canary-of-a-key-that-an-admin-enters-8888'
const OTHER_KEY = 'sk-ant-api03-canary-of-a-key-that-replaces-it-9999'

let app: TestApp
let [boss, auditor, ada, bob] = [] as unknown as [Visitor, Visitor, Visitor, Visitor]
let [id, name, path] = ['', '', '']
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: OWN, LOG_LEVEL: 'debug' } })
  ;[boss, auditor] = [await signUp(app), await signUp(app)]
  ;[ada, bob] = [await signUp(app), await signUp(app)]
  const { userAdministration } = app.app.services
  await userAdministration.setRole('operator', boss.username, 'admin')
  await userAdministration.setRole('operator', auditor.username, 'auditor')
})
let count = 0
beforeEach(async () => {
  const { teams, teamMembers } = app.app.services
  ;({ id, name } = await teams.add(ada.userId, `Watched ${++count}`))
  await teamMembers.add(bob.userId, id, 'member')
  path = `/admin/teams/${id}/money`
})
afterAll(() => app.close())

const act = async (part: string, filled: Record<string, string>, who = boss) => {
  await who.browser.open(path)
  return who.browser.submit(`${path}/${part}`, filled)
}
const cap = (filled: Record<string, string>) => act('cap', { member: bob.username, ...filled })
const callerOf = async ({ username }: Visitor) => {
  const { accounts, sessions } = app.app.services
  const { accessToken } = await accounts.authenticate(username, PASSWORD)
  return { accessToken, caller: await sessions.resolve(accessToken) }
}
const storedOf = async () => {
  const { teamBudgets } = app.app.services
  return teamBudgets.show((await callerOf(ada)).caller, id)
}
const eventsOf = async (chain: string) => {
  const { rows } = await sql<{ action: string; actorId: string | null; detail: string }>`
    select action, actor_id, detail from audit_events
    where chain = ${chain} order by seq`.execute(app.app.db)
  return rows.filter(({ actorId }) => actorId === boss.userId)
}
/** Sends a form that the page does not offer. */
const forge = async (who: Visitor, part: string, fields: Record<string, string>) => {
  await who.browser.open(path)
  const csrf = who.browser.forms()[0]?.fields.find(([field]) => field === 'csrf_token')?.[1] ?? ''
  return who.browser.post(`${path}/${part}`, { csrf_token: csrf, ...fields }, { origin: OWN })
}

test('what a member may spend is set in USD and in tokens, each by itself, and removed', async () => {
  const saved = await cap({ cap: '2.50' })
  expect(saved.text).toContain('Saved.')
  await cap({ cap: '7000', unit: 'tokens' })
  await act('cap', { member: '', period: 'day', cap: '1' })
  const { caps } = await storedOf()
  expect(caps).toHaveLength(2)
  const own = { userId: bob.userId, period: 'month', nanoUsd: 2_500_000_000n, tokens: 7000 }
  expect(caps).toContainEqual(own)
  expect(caps).toContainEqual({
    userId: null,
    period: 'day',
    nanoUsd: 1_000_000_000n,
    tokens: null,
  })
  for (const page of [
    await boss.browser.open(path),
    await auditor.browser.open(path),
    await ada.browser.open(`/account/teams/${id}/money`),
  ]) {
    expect(page.text).toContain('$2.50 and 7,000 tokens')
  }
  await cap({ cap: '' })
  expect((await storedOf()).caps).toContainEqual({ ...own, nanoUsd: null })
  await cap({ cap: '', unit: 'tokens' })
  expect((await storedOf()).caps.map(({ userId }) => userId)).toEqual([null])
  const events = await eventsOf(id)
  expect(events.map(({ action }) => action)).toEqual([
    ...['budget.set', 'budget.set', 'budget.set', 'budget.set', 'budget.removed'],
  ])
})

test('a wrong limit is refused beside its field, with what was typed', async () => {
  for (const [filled, why] of [
    [{ cap: 'lots' }, 'must be an amount'],
    [{ cap: '1.5', unit: 'tokens' }, 'must be a whole number of tokens'],
    [{ cap: '9'.repeat(16), unit: 'tokens' }, 'must have at most 15 digits'],
    [{ cap: '1', member: 'no-such-person' }, 'no member'],
  ] as const) {
    const refused = await cap(filled)
    expect([refused.status, refused.text]).toEqual([422, expect.stringContaining(why)])
    const form = boss.browser.forms().find(({ action }) => action === `${path}/cap`)
    expect(Object.fromEntries(form?.fields ?? [])).toMatchObject(filled)
  }
  expect((await storedOf()).caps).toEqual([])
})

test('the key is entered and replaced with the password, shown to nobody, and spent by members only', async () => {
  await boss.browser.open(path)
  await sql`update sessions set proven_at = null where user_id = ${boss.userId}`.execute(app.app.db)
  const asked = await boss.browser.submit(`${path}/key`, { key: KEY })
  expect(asked.text).toContain('Give your password again to act on others')
  expect(asked.html).not.toContain('canary')
  const saved = await boss.browser.submit(`${path}/key`, { your_password: PASSWORD })
  expect(saved.text).toContain("The team's key is saved.")
  expect(saved.text).toContain('••••8888')
  const replaced = await act('key', { key: OTHER_KEY })
  expect(replaced.text).toContain('••••9999')
  for (const one of [saved.html, replaced.html, app.logLines.join('')]) {
    expect(one).not.toContain('canary')
  }
  const keySet = { action: 'key.set', actorId: boss.userId }
  const [first, second, ...more] = await eventsOf(id)
  expect([first, second]).toMatchObject([keySet, keySet])
  expect([first, second].map((event) => JSON.parse(event?.detail ?? ''))).toEqual([
    { lastFour: '8888' },
    { lastFour: '9999' },
  ])
  expect(more).toEqual([])
  const installation = await eventsOf(INSTALLATION_CHAIN)
  expect(installation.filter(({ detail }) => detail.includes(id))).toMatchObject([keySet, keySet])
  const send = async (who: Visitor) => {
    const client = await app.connect('modern', (await callerOf(who)).accessToken)
    const sent = await client.call('send_message', { message: 'hi', pay_with: `team:${name}` })
    return sent.structured
  }
  expect((await send(boss)).error).toMatchObject({ code: 'not_found' })
  expect((await send(bob)).data.paid_by).toMatchObject({ kind: 'team', key_last_four: '9999' })
  const removed = await act('key/remove', {})
  expect(removed.text).toContain('The team has no key')
})

test('auditors see what admins change, and change nothing', async () => {
  await act('key', { key: KEY })
  await cap({ cap: '2.50' })
  const seen = await auditor.browser.open(path)
  for (const shown of ['••••8888', bob.username, '$2.50']) expect(seen.text).toContain(shown)
  expect(auditor.browser.forms().map(({ action }) => action)).toEqual(['/sign-out'])
  for (const [part, fields] of [
    ['cap', { member: bob.username, period: 'month', unit: 'usd', cap: '9' }],
    ['pool', { daily_limit: '9', monthly_limit: '9' }],
    ['key', { key: OTHER_KEY }],
    ['key/remove', {}],
  ] as const) {
    expect((await forge(auditor, part, fields)).status, part).toBe(403)
    expect((await forge(bob, part, fields)).status, part).toBe(403)
  }
  const { caps, limits } = await storedOf()
  expect([caps.map(({ nanoUsd }) => nanoUsd), limits]).toEqual([[2_500_000_000n], []])
  expect((await boss.browser.open(path)).text).toContain('••••8888')
})

test('an admin who is in the team does not raise their own part', async () => {
  await app.app.services.teamMembers.add(boss.userId, id, 'member')
  const refused = await cap({ member: boss.username.toUpperCase(), cap: '9' })
  expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('others only')])
  expect((await storedOf()).caps).toEqual([])
})

test('nothing is changed by those who were admins when they asked, and in no archived team', async () => {
  const { services } = app.app
  const former = await signUp(app)
  await services.userAdministration.setRole('operator', former.username, 'admin')
  const { caller } = await callerOf(former)
  await services.userAdministration.setRole('operator', former.username, 'member')
  const actor = services.teams.asAdmin(caller)
  const limit = { nanoUsd: 1n, tokens: null }
  for (const act of [
    () => services.teamKeys.replace(actor, id, KEY),
    () => services.teamKeys.remove(actor, id),
    () => services.teamBudgets.setCap(actor, id, bob.username, 'day', limit),
    () => services.teamBudgets.setPool(actor, id, [{ period: 'day', change: limit }]),
  ]) {
    await expect(act()).rejects.toMatchObject({ code: 'forbidden' })
  }
  await services.teams.archive('operator', id)
  expect((await boss.browser.open(path)).status).toBe(200)
  expect(boss.browser.forms().map(({ action }) => action)).toEqual(['/sign-out'])
  for (const part of ['cap', 'key'] as const) {
    const forged = await forge(boss, part, { member: bob.username, cap: '1', key: KEY })
    expect([forged.status, forged.text]).toEqual([403, expect.stringContaining('archived')])
  }
})

test('the limits of a day and of a month are stored together or not at all', async () => {
  await sql`create function refuse_month() returns trigger language plpgsql as $$
    begin
      if new.period = 'month' then raise exception 'no months'; end if;
      return new;
    end $$`.execute(app.app.db)
  const [team, own] = [`/account/teams/${id}/money`, '/account/usage']
  const limits = { daily_limit: '3', monthly_limit: '30' }
  const stored = async () => {
    const { rows } = await sql<{ of: string; setBy: string; period: string }>`
      select 'team' as of, set_by, period from team_budgets where team_id = ${id}
      union all select 'user', set_by, period from budgets where user_id = ${ada.userId}
      order by of, set_by, period`.execute(app.app.db)
    return rows.map((row) => `${row.of} ${row.setBy} ${row.period}`)
  }
  const saveAll = async () => {
    const pages: [Visitor, string, string][] = [
      ...[[boss, path, `${path}/pool`] as [Visitor, string, string]],
      ...[[ada, team, `${team}/pool`] as [Visitor, string, string]],
      ...[[ada, own, own] as [Visitor, string, string]],
    ]
    const statuses: number[] = []
    for (const [who, page, action] of pages) {
      await who.browser.open(page)
      statuses.push((await who.browser.submit(action, limits)).status)
    }
    return statuses
  }
  for (const table of ['team_budgets', 'budgets']) {
    await sql`create trigger no_months before insert on ${sql.table(table)}
      for each row execute function refuse_month()`.execute(app.app.db)
  }
  expect(await saveAll()).toEqual([500, 500, 500])
  expect(await stored()).toEqual([])
  expect(await eventsOf(id)).toEqual([])
  for (const table of ['team_budgets', 'budgets']) {
    await sql`drop trigger no_months on ${sql.table(table)}`.execute(app.app.db)
  }
  expect(await saveAll()).toEqual([200, 200, 200])
  expect(await stored()).toEqual([
    ...['team admin day', 'team admin month', 'team team day', 'team team month'],
    ...['user user day', 'user user month'],
  ])
  expect(await eventsOf(id)).toHaveLength(2)
})
