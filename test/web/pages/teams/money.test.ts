/** Money of a team in a browser: its key, its limits, and tokens that may spend it. */

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { PASSWORD, signUp, type Visitor } from '../visiting.ts'

const KEY = 'sk-ant-api03-canary-of-the-team-key-that-nobody-may-see-7777'

let app: TestApp
let ada: Visitor
let bob: Visitor
let id: string
let path: string
let name: string
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { LOG_LEVEL: 'debug' } })
  ada = await signUp(app)
  bob = await signUp(app)
})
let count = 0
beforeEach(async () => {
  await ada.browser.open('/account/teams')
  name = `Rich team ${++count}`
  const made = await ada.browser.submit('/account/teams', { name })
  id = made.url.pathname.split('/').at(-1) ?? ''
  path = `/account/teams/${id}/money`
  await app.app.services.teamMembers.add(bob.userId, id, 'member')
})
afterAll(() => app.close())

const enterKey = async () => {
  await ada.browser.open(path)
  return ada.browser.submit(`${path}/key`, { key: KEY })
}

test('the key is entered by an owner, and shown to nobody', async () => {
  const saved = await enterKey()
  expect(saved.text).toContain("The team's key is saved.")
  expect(saved.text).toContain('••••7777')
  const seen = await bob.browser.open(path)
  expect(seen.text).toContain('••••7777')
  expect(seen.html).not.toContain(`${path}/key`)
  for (const one of [saved.html, seen.html, app.logLines.join('')]) {
    expect(one).not.toContain('canary')
  }
  const removed = await ada.browser
    .open(path)
    .then(() => ada.browser.submit(`${path}/key/remove`, {}))
  expect(removed.text).toContain('The team has no key')
  const rows = await app.app.db
    .selectFrom('teamKeys')
    .selectAll()
    .where('teamId', '=', id)
    .execute()
  expect(rows).toMatchObject([{ sealed: null, lastFour: '7777', removedAt: expect.any(Date) }])
})

test('limits are set by those who manage the team, and seen by its members', async () => {
  await ada.browser.open(path)
  const saved = await ada.browser.submit(`${path}/pool`, { daily_limit: '5', monthly_limit: '50' })
  expect(saved.text).toContain('$0.00 of $50.00')
  await ada.browser.submit(`${path}/cap`, { member: bob.username, period: 'month', cap: '2.50' })
  const seen = await bob.browser.open(path)
  expect(seen.text).toContain('$0.00 of $5.00')
  expect(seen.text).toContain('$0.00 of $2.50')
  expect(seen.html).not.toContain(`${path}/pool`)
  await ada.browser.open(path)
  const wrong = { member: 'nobody here', period: 'day', cap: '1' }
  const refused = await ada.browser.submit(`${path}/cap`, wrong)
  expect([refused.status, refused.text]).toEqual([422, expect.stringContaining('no member')])
  const form = ada.browser.forms().find(({ action }) => action === `${path}/cap`)
  expect(Object.fromEntries(form?.fields ?? [])).toMatchObject(wrong)
  const bad = await ada.browser.submit(`${path}/pool`, { daily_limit: 'lots', monthly_limit: '' })
  expect(bad.status).toBe(422)
})

test('what tools have set stays when the page changes something else', async () => {
  const { teamBudgets, accounts, sessions } = app.app.services
  const { accessToken } = await accounts.authenticate(ada.username, PASSWORD)
  const owner = await sessions.resolve(accessToken)
  const exact = { nanoUsd: 1_500_000n, tokens: 7000 }
  await teamBudgets.setPool(owner, id, [{ period: 'day', change: exact }])
  await teamBudgets.setCap(owner, id, bob.username, 'day', exact)
  await ada.browser.open(path)
  const saved = await ada.browser.submit(`${path}/pool`, { monthly_limit: '50' })
  expect(saved.text).toContain('Saved.')
  await ada.browser.submit(`${path}/cap`, { member: bob.username, period: 'day', cap: '2' })
  const { limits, caps } = await teamBudgets.show(owner, id)
  expect(limits.find(({ period }) => period === 'day')).toMatchObject(exact)
  expect(caps).toMatchObject([{ userId: bob.userId, nanoUsd: 2_000_000_000n, tokens: 7000 }])
})

test('is not there for those who are not in the team', async () => {
  const eve = await signUp(app)
  expect((await eve.browser.open(path)).status).toBe(404)
})

test('a token spends it only if that was ticked when it was made', async () => {
  await enterKey()
  const tokenWith = async (purses: string[]) => {
    await bob.browser.open('/account/tokens')
    const permissions = ['messages:send']
    const made = { name: `token ${count++}`, days: '7', permissions, purses }
    const { html } = await bob.browser.submit('/account/tokens', made)
    return /id="new-token">([^<]+)</.exec(html)?.[1] ?? ''
  }
  const send = async (token: string) => {
    const client = await app.connect('modern', token)
    return (await client.call('send_message', { message: 'hi', pay_with: `team:${name}` }))
      .structured
  }
  expect(await send(await tokenWith([]))).toMatchObject({ error: { code: 'payer_required' } })
  const { data } = await send(await tokenWith([id]))
  expect(data).toMatchObject({ paid_by: { kind: 'team', team: name, key_last_four: '7777' } })
  expect((await bob.browser.open(path)).text).toMatch(/Spent by day/)
})
