/** Requests for a higher limit, and the limits of admins, in a browser. */

import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { signUp, type Visitor } from '../visiting.ts'

const OWN = 'https://gateway.example'
const ATTACK = '<script>alert(1)</script>'

let app: TestApp
let [boss, ada, bob] = [] as unknown as [Visitor, Visitor, Visitor]
let id: string
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: OWN, BUDGET_USD_PER_DAY: '1' } })
  ;[boss, ada] = [await signUp(app), await signUp(app)]
  await app.app.services.userAdministration.setRole('operator', boss.username, 'admin')
})
let count = 0
beforeEach(async () => {
  bob = await signUp(app)
  const { teams, teamMembers } = app.app.services
  ;({ id } = await teams.add(ada.userId, `Savers ${++count}`))
  await teamMembers.add(bob.userId, id, 'member')
})
afterAll(() => app.close())

const act = async (
  { browser }: Visitor,
  path: string,
  action: string,
  filled: Record<string, string> = {},
) => {
  await browser.open(path)
  return browser.submit(action, filled)
}
const ask = (team: string, amount = '3', reason = ATTACK) =>
  act(bob, '/account/requests', '/account/requests', { team, amount, reason })
const stateOf = async (userId: string) => {
  const { rows } = await sql<{ id: string; state: string; granted: string | null }>`
    select id, state, granted_nano_usd as granted from budget_requests
    where user_id = ${userId} order by created_at desc limit 1`.execute(app.app.db)
  return rows[0]
}

test('a member asks, an owner grants another amount on the team’s page', async () => {
  const path = `/account/teams/${id}/money`
  await act(ada, path, `${path}/pool`, { daily_limit: '2', monthly_limit: '' })
  const asked = await ask(id)
  expect(asked.text).toContain('Asked. You see it here')
  expect(asked.html).not.toContain(ATTACK)
  const request = await stateOf(bob.userId)
  const team = `/account/teams/${id}`
  const own = await bob.browser.open(team)
  expect(own.text).toContain('Requests for a higher limit')
  expect(bob.browser.forms().map(({ action }) => action)).not.toContain(
    `${team}/requests/${request?.id}`,
  )
  const seen = await ada.browser.open(team)
  expect(seen.text).toContain(ATTACK)
  const form = ada.browser
    .forms()
    .find(({ action }) => action === `${team}/requests/${request?.id}`)
  const csrf = form?.fields.find(([name]) => name === 'csrf_token')?.[1] ?? ''
  const send = (fields: Record<string, string>) =>
    ada.browser.post(
      `${team}/requests/${request?.id}`,
      { csrf_token: csrf, ...fields },
      { origin: OWN },
    )
  for (const amount of ['lots', '1000001', '1,000']) {
    const refused = await send({ decision: 'approve', amount })
    expect([refused.status, refused.text]).toEqual([400, expect.stringContaining('up to 1000000')])
    expect(refused.html).toContain(
      `name="amount" autocomplete="off" inputmode="decimal" maxlength="20" value="${amount}"`,
    )
  }
  await send({ decision: 'approve', amount: '2.50' })
  expect(await stateOf(bob.userId)).toMatchObject({ state: 'approved', granted: '2500000000' })
  expect((await send({ decision: 'deny' })).status).toBe(404)
  expect((await bob.browser.open(path)).text).toContain('$0.00 of $2.50')
})

test('a user asks about their own limit, sees it on the overview, and takes it back', async () => {
  await ask('')
  expect((await bob.browser.open('/account')).text).toContain('You asked for a higher limit')
  const request = await stateOf(bob.userId)
  const back = await act(bob, '/account', `/account/requests/${request?.id}/withdraw`)
  expect(back.text).toContain('Taken back.')
  expect(await stateOf(bob.userId)).toMatchObject({ state: 'withdrawn' })
  for (const [amount, reason] of [
    ['0.50', 'why'],
    ['lots', 'why'],
    ['', 'why'],
    ['5', ' '],
  ]) {
    expect([400, 422]).toContain((await ask('', amount, reason)).status)
  }
})

test('an admin of the installation decides about it, and nobody else reads it', async () => {
  await ask('', '3', 'for the report')
  const request = await stateOf(bob.userId)
  expect((await ada.browser.open('/admin/requests')).status).toBe(403)
  const auditor = await signUp(app)
  await app.app.services.userAdministration.setRole('operator', auditor.username, 'auditor')
  expect((await auditor.browser.open('/admin/requests')).text).not.toContain('for the report')
  const path = `/admin/requests/${request?.id}`
  expect((await boss.browser.open('/admin/requests')).text).toContain('for the report')
  const csrf = boss.browser.forms()[0]?.fields.find(([name]) => name === 'csrf_token')?.[1] ?? ''
  const fields = { csrf_token: csrf, decision: 'approve', amount: '3' }
  await boss.browser.post(path, fields, { origin: OWN })
  expect(await stateOf(bob.userId)).toMatchObject({ state: 'approved' })
  expect((await bob.browser.open('/account/usage')).text).toContain('$0.00 of $3.00')
})

test('an admin limits a team, and a user in all that they spend', async () => {
  const money = `/admin/teams/${id}/money`
  const saved = await act(boss, money, `${money}/pool`, { daily_limit: '4', monthly_limit: '' })
  expect(saved.text).toContain('$0.00 of $4.00')
  const { rows } = await sql<{ setBy: string }>`
    select set_by from team_budgets where team_id = ${id}`.execute(app.app.db)
  expect(rows).toEqual([{ setBy: 'admin' }])
  const own = await ada.browser.open(`/account/teams/${id}/money`)
  expect(own.text).toContain('The operator’s limit of $4.00 applies as well.')
  const path = `/admin/users/${bob.username}/budget`
  const limited = await act(boss, path, path, { period: 'day', covers: 'everything', amount: '7' })
  expect(limited.text).toContain('Counts what teams pay for you, too.')
  const usage = await bob.browser.open('/account/usage')
  expect(usage.text).toContain('$0.00 of $7.00')
  await boss.browser.open(path)
  const refused = { period: 'day', covers: 'everything', amount: '7,000' }
  await boss.browser.submit(path, refused)
  const form = boss.browser.forms().find(({ action }) => action === path)
  expect(Object.fromEntries(form?.fields ?? [])).toMatchObject(refused)
  for (const page of [money, path]) expect((await bob.browser.open(page)).status).toBe(403)
})
