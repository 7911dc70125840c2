/** The password again, for what a stolen or forgotten browser session must not do. */

import { createHash, randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Filled, Visited } from '../../support/browser.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { browserOf, cookieOf, PASSWORD, signIn, signUp, type Visitor } from './visiting.ts'

const OWN = 'https://gateway.example'
const CALLBACK = 'https://client.example/callback'
const KEY = `sk-ant-api03-${randomBytes(8).toString('hex')}-7777`
const TOKEN = { name: 'Build server', days: '7', permissions: ['usage:read', 'messages:send'] }

let app: TestApp
beforeAll(async () => {
  app = await startApp({
    kind: 'embedded',
    env: { PUBLIC_URL: OWN, SIGN_IN_FAILURES_PER_ACCOUNT: '3', TRUST_PROXY: '1' },
  })
})
afterAll(() => app.close())

const forgetProof = ({ userId }: Visitor) =>
  sql`update sessions set proven_at = now() - interval '601 seconds'
    where user_id = ${userId}`.execute(app.app.db)

/** Somebody whose browser was left alone for a while after they signed in. */
async function longSignedIn(): Promise<Visitor> {
  const visitor = await signUp(app)
  await forgetProof(visitor)
  return visitor
}

const isAsked = ({ text, html }: Visited) =>
  text.includes('Confirm that it is you') && html.includes('name="your_password"')

const prove = ({ browser }: Visitor, password = PASSWORD, headers = {}) =>
  browser.submit(browser.page.url.pathname, { your_password: password }, { headers })

async function kept({ browser, userId }: Visitor) {
  const { sessions, accounts } = app.app.services
  const caller = await sessions.findBrowserSession(cookieOf(browser, 'session').value)
  const listed = caller ? await sessions.list(caller) : []
  return {
    tokens: listed.filter(({ kind }) => kind === 'personal').map(({ name }) => name),
    connections: listed.filter(({ kind }) => kind === 'connection').map(({ scopes }) => scopes),
    key: (await accounts.keyStatus(userId))?.lastFour,
  }
}

/** The consent page of a new client that asks for these. */
async function openConsent({ browser }: Visitor, scope: string): Promise<string> {
  const response = await fetch(new URL('/oauth/register', app.baseUrl), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'A client',
      redirect_uris: [CALLBACK],
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    }),
  })
  const { client_id } = (await response.json()) as { client_id: string }
  const params = new URLSearchParams({
    client_id,
    response_type: 'code',
    redirect_uri: CALLBACK,
    code_challenge: createHash('sha256').update(randomBytes(32)).digest('base64url'),
    code_challenge_method: 'S256',
    state: 'a-state',
    resource: `${OWN}/mcp`,
    scope,
  })
  const page = await browser.open(`/oauth/authorize?${params}`)
  await browser.open(`${page.url.searchParams.get('return_to') ?? page.url.pathname}?key=later`)
  return browser.page.url.pathname
}

const approve = ({ browser }: Visitor, path: string, filled: Filled) =>
  browser.submit(path, { confirmed: 'yes', ...filled }, { button: 'Approve' })

describe('more than 10 minutes after it was given', () => {
  test('a token is made once the password was given again, as it was asked for', async () => {
    const visitor = await longSignedIn()
    await visitor.browser.open('/account/tokens')
    const asked = await visitor.browser.submit('/account/tokens', TOKEN)
    expect(isAsked(asked)).toBe(true)
    expect(asked.text).toContain('to make an access token')
    expect((await kept(visitor)).tokens).toEqual([])
    const made = await prove(visitor)
    expect(made.status).toBe(201)
    const [token = ''] = /cag_[\w-]{43}/.exec(made.text) ?? []
    const caller = await app.app.services.sessions.resolve(token)
    expect([...caller.scopes].sort()).toEqual([...TOKEN.permissions].sort())
    expect((await kept(visitor)).tokens).toEqual([TOKEN.name])

    await visitor.browser.open('/account/tokens')
    const next = await visitor.browser.submit('/account/tokens', { ...TOKEN, name: 'Another' })
    expect(next.status).toBe(201)
  })

  test('an Anthropic key is stored then, and was in no page meanwhile', async () => {
    const visitor = await longSignedIn()
    const tested = app.claude.journal.length
    await visitor.browser.open('/account/key')
    const asked = await visitor.browser.submit('/account/key', { key: KEY })
    expect(isAsked(asked)).toBe(true)
    for (const spelling of [KEY, Buffer.from(KEY).toString('base64url').slice(2, 30)]) {
      expect(asked.html).not.toContain(spelling)
    }
    expect(app.claude.journal).toHaveLength(tested)
    expect((await kept(visitor)).key).toBeUndefined()
    const saved = await prove(visitor)
    expect(saved.text).toContain('Your Anthropic key is saved.')
    expect((await kept(visitor)).key).toBe('7777')
  })

  test('one that a link asks for, too, and the link is used by that', async () => {
    const visitor = await signUp(app)
    const caller = await app.app.services.sessions.findBrowserSession(
      cookieOf(visitor.browser, 'session').value,
    )
    if (!caller) throw new Error('not signed in')
    const { url } = await app.app.services.keyLinks.create(caller, 'account')
    await forgetProof(visitor)
    const { pathname, search } = new URL(url)
    await visitor.browser.open(pathname + search)
    expect(isAsked(await visitor.browser.submit('/account/key', { key: KEY }))).toBe(true)
    expect((await prove(visitor)).text).toContain('Go back to your client and try again.')
    expect((await visitor.browser.open(pathname + search)).status).toBe(403)
  })

  test('an export is downloaded then', async () => {
    const visitor = await longSignedIn()
    await visitor.browser.open('/account/data')
    const asked = await visitor.browser.submit('/account/export')
    expect(isAsked(asked)).toBe(true)
    expect(asked.headers.get('content-disposition')).toBeNull()
    expect(asked.html).not.toContain('@example.com')
    const file = await prove(visitor)
    expect(file.headers.get('content-disposition')).toMatch(/^attachment/)
    expect(JSON.parse(file.html).user.username).toBe(visitor.username)
  })

  test('the permission account is given then, and whatever else was chosen with it', async () => {
    const visitor = await longSignedIn()
    const path = await openConsent(visitor, 'conversations:read usage:read account')
    const permissions = ['usage:read', 'account']
    const asked = await approve(visitor, path, { permissions, days: '7', limit: '5' })
    expect(isAsked(asked)).toBe(true)
    expect((await kept(visitor)).connections).toEqual([])
    const wrong = await prove(visitor, 'not my password')
    for (const { headers } of [asked, wrong]) {
      // The last form of the way may end at the client.
      expect(headers.get('content-security-policy')).toContain("form-action 'self' https://client")
    }
    const { left } = await prove(visitor)
    expect(left?.href).toMatch(/^https:\/\/client\.example\/callback\?code=/)
    expect((await kept(visitor)).connections).toEqual([permissions])
  })

  test('nothing is asked for a permission that changes no account, or to say no', async () => {
    const visitor = await longSignedIn()
    const path = await openConsent(visitor, 'messages:send account')
    const { left } = await approve(visitor, path, { permissions: ['messages:send'] })
    expect(left?.searchParams.get('code')).toBeTruthy()
    const next = await openConsent(visitor, 'account')
    const denied = await visitor.browser.submit(next, {}, { button: 'Deny' })
    expect(denied.left?.searchParams.get('error')).toBe('access_denied')
  })

  test('an account is deleted by the password in its form', async () => {
    const { browser, username } = await longSignedIn()
    await browser.open('/account/data')
    const gone = await browser.submit('/account/delete', { username, password: PASSWORD })
    expect(gone.text).toContain('Your account is deleted.')
  })

  test('a session of a build that kept no such time is asked, too', async () => {
    const visitor = await signUp(app)
    await sql`update sessions set proven_at = null where user_id = ${visitor.userId}`.execute(
      app.app.db,
    )
    await visitor.browser.open('/account/tokens')
    expect(isAsked(await visitor.browser.submit('/account/tokens', TOKEN))).toBe(true)
  })
})

describe('a copy of the cookie', () => {
  test('is worth nothing once its owner has given the password again', async () => {
    const visitor = await longSignedIn()
    const thief = visitor.browser.clone()
    await visitor.browser.open('/account/tokens')
    await visitor.browser.submit('/account/tokens', TOKEN)
    expect((await prove(visitor)).status).toBe(201)
    expect((await thief.open('/account/tokens')).url.pathname).toBe('/sign-in')
    // Whoever gave it goes on, forms and all.
    await visitor.browser.open('/account/tokens')
    const next = await visitor.browser.submit('/account/tokens', { ...TOKEN, name: 'Another' })
    expect(next.status).toBe(201)
  })

  test('or a new one', async () => {
    const visitor = await signUp(app)
    const thief = visitor.browser.clone()
    await visitor.browser.open('/account/password')
    const passwords = { current_password: PASSWORD, new_password: 'an entirely other phrase' }
    const changed = await visitor.browser.submit('/account/password', passwords)
    expect(changed.url.pathname).toBe('/account/password')
    expect(changed.text).toContain('Your password is changed')
    expect((await thief.open('/account')).url.pathname).toBe('/sign-in')
    expect((await visitor.browser.open('/account')).url.pathname).toBe('/account')
  })
})

test('within 10 minutes nobody is asked, by signing up or in', async () => {
  const visitor = await signUp(app)
  const other = { ...visitor, browser: browserOf(app) }
  await forgetProof(visitor)
  await signIn(other.browser, visitor.username)
  await other.browser.open('/account/tokens')
  expect((await other.browser.submit('/account/tokens', TOKEN)).status).toBe(201)
  await visitor.browser.open('/account/tokens')
  expect(isAsked(await visitor.browser.submit('/account/tokens', { ...TOKEN, name: 'Mine' }))).toBe(
    true,
  )
})

describe('the page that asks', () => {
  test('asks again after a wrong password, and keeps what was entered', async () => {
    const visitor = await longSignedIn()
    await visitor.browser.open('/account/tokens')
    await visitor.browser.submit('/account/tokens', TOKEN)
    const wrong = await prove(visitor, 'not my password')
    expect(wrong.status).toBe(422)
    expect(wrong.html).toMatch(/id="field-your_password-error">The password is wrong/)
    expect(wrong.html).not.toContain('not my password')
    expect((await kept(visitor)).tokens).toEqual([])
    expect((await prove(visitor)).status).toBe(201)
    expect((await kept(visitor)).tokens).toEqual([TOKEN.name])
  })

  test('wrong ones count as failed sign-ins, and pause the account', async () => {
    const visitor = await longSignedIn()
    await visitor.browser.open('/account/tokens')
    await visitor.browser.submit('/account/tokens', TOKEN)
    for (let i = 0; i < 3; i++) await prove(visitor, 'not my password')
    const paused = await prove(visitor)
    expect(paused.status).toBe(429)
    expect(Number(paused.headers.get('retry-after'))).toBeGreaterThan(1)
    expect((await kept(visitor)).tokens).toEqual([])
    expect((await signIn(browserOf(app), visitor.username)).status).toBe(429)
  })

  test('a form that waited in one session is worth nothing in another, or elsewhere', async () => {
    const [visitor, other] = [await longSignedIn(), await longSignedIn()]
    const heldBy = async ({ browser }: Visitor) => {
      await browser.open('/account/tokens')
      const { html } = await browser.submit('/account/tokens', TOKEN)
      const field = (name: string) => new RegExp(`name="${name}" value="([^"]*)"`).exec(html)?.[1]
      return { csrf_token: field('csrf_token') ?? '', held: field('held') ?? '' }
    }
    const [own, foreign] = [await heldBy(visitor), await heldBy(other)]
    const attempts = [
      ['/account/tokens', { ...own, held: foreign.held }],
      ['/account/tokens', { ...own, held: 'AAAA' }],
      ['/account/key', own],
    ] as const
    for (const [path, fields] of attempts) {
      const page = await visitor.browser.post(path, { ...fields, your_password: PASSWORD })
      expect(page.status, path).toBe(403)
      expect(page.text).toContain('This form has gone stale')
    }
    expect((await kept(visitor)).tokens).toEqual([])
  })
})
