/** Webhooks in a browser: of the installation for its admins, of a team for its owners. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { PASSWORD, signUp, type Visitor } from '../visiting.ts'

let app: TestApp
let boss: Visitor
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { TEAM_WEBHOOKS: 'on' } })
  boss = await signUp(app)
  await app.app.services.userAdministration.setRole('operator', boss.username, 'admin')
})
afterAll(() => app.close())

const secretIn = (text: string) => /whsec_[A-Za-z0-9+/]{43}=/.exec(text)?.[0]

/** Of the only receiver on the page. */
const idIn = (visitor: Visitor, page: string) =>
  new RegExp(`action="${page}/([0-9a-f-]{36})/test"`).exec(visitor.browser.page.html)?.[1] ?? ''

test('an admin adds one, sees its secret once, tests, renews, disables and deletes it', async () => {
  const page = '/admin/webhooks'
  const { browser } = boss
  await browser.open(page)
  const wrong = await browser.submit(page, { url: 'http://hooks.example/', events: 'key.rejected' })
  expect([wrong.status, wrong.text]).toEqual([400, expect.stringContaining('https://')])
  const added = await browser.submit(page, {
    url: 'https://hooks.invalid/canary-path',
    events: 'key.rejected',
  })
  const secret = secretIn(added.text)
  expect(secret).toBeDefined()
  const shown = await browser.open(page)
  expect(shown.text).toContain('hooks.invalid')
  expect(shown.html).not.toContain('canary-path')
  expect(shown.html).not.toContain(secret)
  const id = idIn(boss, page)
  expect((await browser.submit(`${page}/${id}/test`)).text).toContain('A test is on its way')
  const renewed = await browser.submit(`${page}/${id}/rotate`)
  expect(secretIn(renewed.text)).not.toBe(secret)
  await browser.open(page)
  expect((await browser.submit(`${page}/${id}/disable`)).text).toContain('Disabled since')
  expect((await browser.submit(`${page}/${id}/enable`)).text).toContain('Enabled.')
  expect((await browser.submit(`${page}/${id}/delete`)).text).toContain('None.')
  expect(app.logLines.join('\n')).not.toMatch(/canary-path|whsec_/)
})

test('each act asks for the password of a moment ago', async () => {
  const { browser, userId } = boss
  await app.app.db
    .updateTable('sessions')
    .set({ provenAt: null })
    .where('userId', '=', userId)
    .execute()
  await browser.open('/admin/webhooks')
  const filled = { url: 'https://hooks.invalid/', events: 'key.rejected' }
  const asked = await browser.submit('/admin/webhooks', filled)
  expect(secretIn(asked.text)).toBeUndefined()
  const done = await browser.submit('/admin/webhooks', { your_password: PASSWORD })
  expect(secretIn(done.text)).toBeDefined()
})

test('an auditor sees them, and changes nothing', async () => {
  const auditor = await signUp(app)
  const { userAdministration } = app.app.services
  await userAdministration.setRole('operator', auditor.username, 'auditor')
  const { status } = await auditor.browser.open('/admin/webhooks')
  expect(status).toBe(200)
  expect(auditor.browser.forms().map(({ action }) => action)).toEqual(['/sign-out'])
})

test('an owner adds one for a team, and its page says so; a member does not', async () => {
  const [ada, bob] = [await signUp(app), await signUp(app)]
  const { teams, teamMembers } = app.app.services
  const { id } = await teams.add(ada.userId, 'Of hooks')
  await teamMembers.add(bob.userId, id, 'member')
  const page = `/account/teams/${id}/webhooks`
  expect((await ada.browser.open(`/account/teams/${id}`)).html).toContain(page)
  expect((await bob.browser.open(`/account/teams/${id}`)).html).not.toContain(page)
  expect((await bob.browser.open(page)).status).toBe(403)
  await ada.browser.open(page)
  expect(ada.browser.page.html).not.toContain('sign_in.locked')
  const added = await ada.browser.submit(page, {
    url: 'https://team.invalid/',
    events: 'member.added',
  })
  expect(secretIn(added.text)).toBeDefined()
  expect((await boss.browser.open('/admin/webhooks')).text).not.toContain('team.invalid')
})
