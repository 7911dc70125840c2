/** What admins do in a browser: users, invitations, links to choose a password, teams. */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { browserOf, newName, PASSWORD, signIn, signUp, type Visitor } from '../visiting.ts'

const OWN = 'https://gateway.example'

let app: TestApp
let boss: Visitor
beforeAll(async () => {
  app = await startApp({
    kind: 'embedded',
    env: { PUBLIC_URL: OWN, REGISTRATION: 'open', ADMIN_USERNAMES: 'root' },
  })
  boss = await signUp(app)
  await app.app.services.userAdministration.setRole('operator', boss.username, 'admin')
})
afterAll(() => app.close())

const linkIn = (text: string, path: string) => {
  const found = new RegExp(`${OWN}(/${path}\\?\\w+=\\w+_[\\w-]{43})`).exec(text)
  if (!found) throw new Error(`no link to /${path} in: ${text}`)
  return found[1] as string
}
const pageOf = ({ username }: { username: string }) => `/admin/users/${username}`
/** Opens the page and sends one of its forms. */
const act = async (path: string, action: string, filled: Record<string, string> = {}) => {
  await boss.browser.open(path)
  return boss.browser.submit(action, filled)
}
const actsOf = async (userId: string) => {
  const { rows } = await sql<{ action: string; actorId: string | null }>`
    select action, actor_id from audit_events where target_id = ${userId} order by seq`.execute(
    app.app.db,
  )
  return rows.filter(({ actorId }) => actorId === boss.userId).map(({ action }) => action)
}

test('a user is added, and chooses a password by a link that works once', async () => {
  const username = newName()
  const email = `${username}@example.com`
  const added = await act('/admin/users', '/admin/users', { username, email })
  const link = linkIn(added.text, 'reset')
  const browser = browserOf(app)
  for (let i = 0; i < 3; i++) expect((await browser.open(link)).text).toContain(username)
  expect((await browser.submit('/reset', { password: 'short' })).status).toBe(422)
  await browser.open(link)
  const chosen = await browser.submit('/reset', { password: PASSWORD })
  expect(chosen.text).toContain('Your password is saved.')
  expect((await signIn(browser, username)).url.pathname).toBe('/account')
  expect((await browser.open(link)).status).toBe(404)
  expect(app.logLines.join('\n')).not.toContain('reset_')
  const taken = await act('/admin/users', '/admin/users', { username, email })
  expect([taken.status, taken.text]).toEqual([409, expect.stringContaining('is in use')])
})

test('an invitation makes an account with a role', async () => {
  const username = newName()
  const email = `${username}@example.com`
  const filled = { role: 'auditor', address: email }
  const made = await act('/admin/users', '/admin/users/invite', filled)
  const browser = browserOf(app)
  await browser.open(linkIn(made.text, 'join'))
  const signUpLink = /href="(\/sign-up\?invitation=[^"]+)"/.exec(browser.page.html)?.[1] ?? ''
  await browser.open(signUpLink)
  await browser.submit('/sign-up', { username, email, password: PASSWORD })
  const { status, text } = await browser.open(pageOf({ username }))
  expect([status, text]).toEqual([200, expect.stringContaining('auditor')])
  // Auditors see, and do nothing.
  expect(browser.forms().map(({ action }) => action)).toEqual(['/sign-out'])
  const forged = await browser.post('/admin/users/invite', filled, { origin: OWN })
  expect(forged.status).toBe(403)
})

test('a user gets a role, is signed out, suspended, let in and deleted, all of it recorded', async () => {
  const ada = await signUp(app)
  const path = pageOf(ada)
  await act(path, `${path}/role`, { role: 'auditor' })
  expect((await ada.browser.open('/admin/users')).status).toBe(200)
  await act(path, `${path}/sign-out`)
  expect((await ada.browser.open('/account')).url.pathname).toBe('/sign-in')
  const suspended = await act(path, `${path}/suspend`)
  expect(suspended.text).toContain('Suspended since')
  const refused = await signIn(ada.browser, ada.username)
  expect(refused.text).toContain('suspended')
  await act(path, `${path}/restore`)
  expect((await signIn(ada.browser, ada.username)).url.pathname).toBe('/account')
  const deleted = await act(path, `${path}/delete`)
  expect(deleted.text).toContain('The account is deleted.')
  expect((await boss.browser.open(path)).status).toBe(404)
  expect(await actsOf(ada.userId)).toEqual([
    ...['user.role_changed', 'session.ended', 'user.suspended', 'user.restored', 'user.deleted'],
  ])
  const { text } = await boss.browser.open('/admin/audit')
  expect(text).toContain('user.deleted')
  expect(text).toContain(`former user …${ada.userId.slice(-8)}`)
})

test('each act asks for the password of a moment ago', async () => {
  const ada = await signUp(app)
  const path = pageOf(ada)
  await sql`update sessions set proven_at = null where user_id = ${boss.userId}`.execute(app.app.db)
  const asked = await act(path, `${path}/suspend`)
  expect(asked.text).toContain('Give your password again to act on others')
  const wrong = await boss.browser.submit(`${path}/suspend`, { your_password: 'no' })
  expect(wrong.status).toBe(422)
  expect((await signIn(browserOf(app), ada.username)).url.pathname).toBe('/account')
  const done = await boss.browser.submit(`${path}/suspend`, { your_password: PASSWORD })
  expect(done.text).toContain('Suspended since')
})

test('nobody acts on the root or on themselves', async () => {
  const root = await app.register('root')
  for (const user of [root, boss]) {
    const path = pageOf(user)
    await boss.browser.open('/admin/users')
    const token = boss.browser.forms()[0]?.fields.find(([name]) => name === 'csrf_token')?.[1] ?? ''
    const sent = { csrf_token: token, role: 'member' }
    const refused = await boss.browser.post(`${path}/role`, sent, { origin: OWN })
    expect(refused.status, user.username).toBe(403)
  }
})

test('an admin acts on a team, but does not let themselves in', async () => {
  const [ada, bob] = [await signUp(app), await signUp(app)]
  const { services } = app.app
  const { id } = await services.teams.add(ada.userId, 'Of others')
  await services.teamMembers.add(bob.userId, id, 'member')
  const path = `/admin/teams/${id}`
  expect((await boss.browser.open('/admin/teams')).text).toContain('Of others')
  const made = await act(path, `${path}/invite`, { role: 'owner' })
  const link = linkIn(made.text, 'join')
  await boss.browser.open(link)
  const own = await boss.browser.submit('/join')
  expect([own.status, own.text]).toEqual([404, expect.stringContaining('cannot be used')])
  await services.teamMembers.add(boss.userId, id, 'member')
  await boss.browser.open(path)
  const csrf = boss.browser.forms()[0]?.fields.find(([name]) => name === 'csrf_token')?.[1] ?? ''
  const role = { csrf_token: csrf, username: boss.username, role: 'owner' }
  expect((await boss.browser.post(`${path}/role`, role, { origin: OWN })).status).toBe(403)
  const archived = await act(path, `${path}/archive`)
  expect(archived.text).toContain('This team is archived.')
  const events = await app.app.repositories.auditEvents.list(id, '0', 100)
  expect(events.map(({ action }) => action)).toContain('team.archived')
  const installation = await boss.browser.open('/admin/audit')
  expect(installation.text).toContain('team.archived')
})
