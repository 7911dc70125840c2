/** Teams in a browser: made, filled by invitations, changed with the password, left, archived. */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { browserOf, newName, PASSWORD, signUp, type Visitor } from '../visiting.ts'

let app: TestApp
let ada: Visitor
let bob: Visitor
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: 'https://gateway.example' } })
  ada = await signUp(app)
  bob = await signUp(app)
})
afterAll(() => app.close())

let count = 0
/** @returns its path. */
const makeTeam = async () => {
  await ada.browser.open('/account/teams')
  const made = await ada.browser.submit('/account/teams', { name: `Page team ${++count}` })
  return made.url.pathname
}
/** @returns the path and query of the invitation. */
const invite = async (path: string, filled: Record<string, string> = {}) => {
  await ada.browser.open(path)
  const { text } = await ada.browser.submit(`${path}/invite`, filled)
  const [url = ''] =
    /https:\/\/gateway\.example\/join\?invitation=invite_[\w-]{43}/.exec(text) ?? []
  const { pathname, search } = new URL(url)
  return `${pathname}${search}`
}
const membersOf = async (path: string) => {
  const { rows } = await sql<{ username: string; role: string }>`
    select u.username, m.role from team_members m join users u on u.id = m.user_id
    where m.team_id = ${path.split('/').at(-1)} order by m.added_at`.execute(app.app.db)
  return rows.map(({ username, role }) => `${username} ${role}`)
}
const forgetProof = () => sql`update sessions set proven_at = null`.execute(app.app.db)

test('a team is made, and its name is not taken twice', async () => {
  const path = await makeTeam()
  expect(path).toMatch(/^\/account\/teams\/[0-9a-f-]{36}$/)
  expect(ada.browser.page.text).toContain('You are owner of this team')
  await ada.browser.open('/account/teams')
  const again = await ada.browser.submit('/account/teams', { name: `page-team-${count}` })
  expect([again.status, again.text]).toEqual([400, expect.stringContaining('The name is taken')])
})

test('a refused invitation keeps what was chosen, and none is for everybody by mistake', async () => {
  const path = await makeTeam()
  const send = async (filled: Record<string, string>) => {
    const page = await ada.browser.submit(`${path}/invite`, filled)
    const form = ada.browser.forms().find(({ action }) => action === `${path}/invite`)
    return { ...page, fields: Object.fromEntries(form?.fields ?? []) }
  }
  await ada.browser.open(path)
  const chosen = { role: 'admin', days: '7', bound: 'username', who: 'Bob Smith' }
  const refused = await send(chosen)
  expect(refused.status).toBe(400)
  expect(refused.fields).toMatchObject(chosen)
  const forAll = await send({ bound: 'anybody', who: bob.username })
  expect([forAll.status, forAll.fields.who]).toEqual([422, bob.username])
  expect(forAll.text).toContain('Choose whether this is a username or an address')
  const ofMember = await send({ bound: 'username', who: ada.username })
  expect(ofMember.text).toContain('The username is a member already: owner.')
  expect(ofMember.text).not.toContain('Open invitations')
  await ada.browser.open(path)
  expect((await send({ bound: 'whoever' })).text).toContain('Choose whom the link is for.')
})

test('an invitation is opened as often as one likes, and accepted once', async () => {
  const path = await makeTeam()
  const link = await invite(path)
  for (let i = 0; i < 5; i++) {
    const shown = await bob.browser.open(link)
    expect(shown.text).toContain(`${ada.username} invites you into the team`)
  }
  await browserOf(app).open(link)
  expect(await membersOf(path)).toEqual([`${ada.username} owner`])
  await bob.browser.open(link)
  const joined = await bob.browser.submit('/join')
  expect([joined.url.pathname, joined.text]).toEqual([
    path,
    expect.stringContaining('You are in the team.'),
  ])
  expect(await membersOf(path)).toEqual([`${ada.username} owner`, `${bob.username} member`])
  const cyd = await signUp(app)
  for (const gone of [link, '/join?invitation=none', '/join']) {
    const { status, text } = await cyd.browser.open(gone)
    expect([status, text]).toEqual([404, expect.stringContaining('cannot be used')])
  }
  expect((await cyd.browser.open(path)).status).toBe(404)
  expect(app.logLines.join('\n')).not.toContain('invite_')
})

test('a visitor signs in on the way, or makes an account with it', async () => {
  const path = await makeTeam()
  const link = await invite(path, { role: 'admin' })
  const browser = browserOf(app)
  await browser.open(link)
  const signInLink = /href="(\/sign-in\?return_to=[^"]+)"/.exec(browser.page.html)?.[1] ?? ''
  await browser.open(signInLink)
  const back = await browser.submit('/sign-in', { username: bob.username, password: PASSWORD })
  expect(back.text).toContain('invites you')
  await browser.submit('/join')
  expect(await membersOf(path)).toContain(`${bob.username} admin`)

  const username = newName()
  const fresh = browserOf(app)
  await fresh.open(await invite(path, { bound: 'email', who: `${username}@example.com` }))
  // An account that is there already could not use it.
  expect(fresh.page.html).not.toContain('/sign-in?return_to=')
  const signUpLink = /href="(\/sign-up\?invitation=[^"]+)"/.exec(fresh.page.html)?.[1] ?? ''
  await fresh.open(signUpLink)
  const wrong = { username, email: 'another@example.com', password: PASSWORD }
  expect((await fresh.submit('/sign-up', wrong)).status).toBe(404)
  await fresh.open(signUpLink)
  await fresh.submit('/sign-up', { ...wrong, email: `${username}@example.com` })
  expect(await membersOf(path)).toContain(`${username} member`)
})

test('roles, removals and the end of a team ask for the password', async () => {
  const path = await makeTeam()
  await bob.browser.open(await invite(path))
  await bob.browser.submit('/join')
  const acts: [string, Record<string, string>, string[]][] = [
    ['role', { role: 'admin', username: bob.username }, [`${bob.username} admin`]],
    ['remove', { username: bob.username }, []],
  ]
  for (const [act, filled, expected] of acts) {
    const before = await membersOf(path)
    await ada.browser.open(path)
    await forgetProof()
    const form = ada.browser
      .forms()
      .filter(({ action }) => action.endsWith(`/${act}`))
      .at(-1)
    const fields = Object.fromEntries([...(form?.fields ?? []), ...Object.entries(filled)])
    const asked = await ada.browser.post(`${path}/${act}`, fields, {
      origin: 'https://gateway.example',
    })
    expect(asked.text).toContain('Give your password again to change the team')
    expect(await membersOf(path)).toEqual(before)
    await ada.browser.submit(`${path}/${act}`, { your_password: PASSWORD })
    expect(await membersOf(path)).toEqual([`${ada.username} owner`, ...expected])
  }
  await ada.browser.open(path)
  await forgetProof()
  await ada.browser.submit(`${path}/archive`)
  await ada.browser.submit(`${path}/archive`, { your_password: PASSWORD })
  expect(ada.browser.page.text).toContain('The team is archived.')
})

test('the last owner stays, and others leave', async () => {
  const path = await makeTeam()
  await bob.browser.open(await invite(path))
  await bob.browser.submit('/join')
  await ada.browser.open(path)
  const kept = await ada.browser.submit(`${path}/leave`)
  expect([kept.status, kept.text]).toEqual([403, expect.stringContaining('needs an owner')])
  await bob.browser.open(path)
  expect((await bob.browser.submit(`${path}/leave`)).text).toContain('You have left the team.')
  expect((await bob.browser.open(path)).status).toBe(404)
})

test('a team that is archived can be left, by all but its last owner', async () => {
  const path = await makeTeam()
  await bob.browser.open(await invite(path))
  await bob.browser.submit('/join')
  await ada.browser.open(path)
  expect((await ada.browser.submit(`${path}/archive`)).text).toContain('The team is archived.')
  expect((await bob.browser.open(path)).text).toContain('You see no more of the team.')
  expect((await bob.browser.submit(`${path}/leave`)).text).toContain('You have left the team.')
  expect((await bob.browser.open(path)).status).toBe(404)
  await ada.browser.open(path)
  const kept = await ada.browser.submit(`${path}/leave`)
  expect([kept.status, kept.text]).toEqual([403, expect.stringContaining('last owner of this')])
})

test('what was done is shown to those who manage it, with names and without secrets', async () => {
  const path = await makeTeam()
  const link = await invite(path)
  await bob.browser.open(link)
  await bob.browser.submit('/join')
  expect((await bob.browser.open(`${path}/audit`)).status).toBe(403)
  const { text } = await ada.browser.open(`${path}/audit`)
  for (const shown of ['team.created', 'invitation.created', 'member.added', bob.username]) {
    expect(text).toContain(shown)
  }
  expect(text).not.toContain('invite_')
})
