/** Signing up, in and out. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { COMMANDS } from '../../../src/admin/commands.ts'
import type { Browser } from '../../support/browser.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'
import {
  browserOf,
  cookieOf,
  csrfTokenIn,
  newName,
  PASSWORD,
  signIn,
  signUp,
  type Visitor,
} from './visiting.ts'

let app: TestApp
beforeAll(async () => {
  app = await startApp({
    kind: 'embedded',
    env: { PUBLIC_URL: 'https://gateway.example', SIGN_IN_FAILURES_PER_ACCOUNT: '3' },
  })
})
afterAll(() => app.close())

describe('signing up', () => {
  test('leads to the Anthropic key, then to the account', async () => {
    const username = newName()
    const browser = browserOf(app)
    await browser.open('/sign-up')
    const email = `${username}@example.com`
    const keyPage = await browser.submit('/sign-up', { username, email, password: PASSWORD })
    expect(keyPage.url.pathname).toBe('/account/key')
    expect(keyPage.text).toContain('Add your Anthropic key')
    const account = await browser.submit('/account/key', { key: 'sk-ant-api03-sign-up-9876' })
    expect(account.url.pathname).toBe('/account')
    expect(account.text).toContain(username)
    expect(account.text).toContain('••••9876')
  })

  test('says beside each field what is wrong, and shows no password again', async () => {
    const browser = browserOf(app)
    await browser.open('/sign-up')
    const filled = { username: '<b>a', email: 'nobody', password: 'too-short' }
    const page = await browser.submit('/sign-up', filled)
    expect(page.status).toBe(422)
    expect(page.html).toContain('<title>Error: Create an account')
    for (const name of ['username', 'email', 'password']) {
      const input = new RegExp(`<input id="field-${name}"[^>]*>`).exec(page.html)?.[0] ?? ''
      expect(input).toContain('aria-invalid="true"')
      expect(input).toMatch(new RegExp(`aria-describedby="[^"]*field-${name}-error`))
      expect(page.html).toContain(`id="field-${name}-error"`)
    }
    expect(page.html).toContain('value="&lt;b&gt;a"')
    expect(page.html).not.toContain('<b>a')
    expect(page.html).not.toContain('too-short')
    expect(page.html.match(/<[^>]* autofocus\b[^>]*>/g)).toEqual([
      expect.stringContaining('role="alert"'),
    ])
    expect((await browser.open('/sign-up')).html).not.toContain('autofocus')
  })

  test('a taken name is said beside the name', async () => {
    const { username } = await signUp(app)
    const browser = browserOf(app)
    await browser.open('/sign-up')
    const email = `${newName()}@example.com`
    const page = await browser.submit('/sign-up', { username, email, password: PASSWORD })
    expect(page.status).toBe(409)
    expect(page.html).toMatch(/id="field-username-error">This username is in use/)
    expect(page.html).toContain(`value="${email}"`)
  })

  test('the password must not be the username', async () => {
    const browser = browserOf(app)
    await browser.open('/sign-up')
    const username = newName()
    const email = `${username}@example.com`
    const page = await browser.submit('/sign-up', { username, email, password: username })
    expect(page.status).toBe(400)
    expect(page.html).toMatch(/id="field-password-error">The password must not be the username\./)
  })

  test('refuses a password that many people use, and says what to do instead', async () => {
    const browser = browserOf(app)
    await browser.open('/sign-up')
    const username = newName()
    const email = `${username}@example.com`
    const send = (password: string) => browser.submit('/sign-up', { username, email, password })
    const common = await send('P@ssw0rd1234')
    expect(common.status).toBe(400)
    expect(common.html).toMatch(
      /id="field-password-error">The password is among the first that are guessed: many people use it, or one much like it\. Take four or more words [^<]*\.</,
    )
    expect((await send(`${username}-2026`)).text).toContain('made of your own name or address.')
    expect((await send(PASSWORD)).url.pathname).toBe('/account/key')
  })
})

describe('signing in', () => {
  test('works for a user of register_user, with the generated password', async () => {
    const username = newName()
    const account = { username, email: `${username}@example.com`, apiKey: 'sk-ant-api03-generated' }
    const { password } = await app.app.services.accounts.register(account)
    const page = await signIn(browserOf(app), username, password)
    expect(page.url.pathname).toBe('/account')
    expect(page.text).toContain(`Hello, ${username}`)
  })

  test('says what to do about a forgotten password, by the command that helps', async () => {
    const page = await browserOf(app).open('/sign-in')
    const [, named = ''] = /npm run admin -- (user [\w-]+) and your username/.exec(page.text) ?? []
    expect(Object.keys(COMMANDS)).toContain(named)
  })

  test('takes the blank off a username, and leaves a password as it is', async () => {
    const { username } = await signUp(app)
    const wrong = await signIn(browserOf(app), username, `${PASSWORD} `)
    expect(wrong.status).toBe(422)
    const page = await signIn(browserOf(app), ` ${username} `)
    expect(page.url.pathname).toBe('/account')
  })

  test('a browser that keeps no cookie is told that it needs one', async () => {
    const { username } = await signUp(app)
    const browser = browserOf(app)
    await browser.open('/sign-in')
    browser.cookies.clear()
    const page = await browser.submit('/sign-in', { username, password: PASSWORD })
    expect(page.status).toBe(403)
    expect(page.text).toContain('Your browser sent no cookie')
    expect(page.text).toContain('Allow cookies for this site')
    expect(page.text).not.toContain('stale')
  })

  test('an unknown user and a wrong password get the same answer', async () => {
    const { username } = await signUp(app)
    const wrong = await signIn(browserOf(app), username, 'not the password')
    const nobody = newName()
    const unknown = await signIn(browserOf(app), nobody, 'not the password')
    const neutral = (html: string, name: string) =>
      html.replaceAll(name, 'NAME').replace(/name="csrf_token" value="[^"]*"/g, '')
    expect(wrong.status).toBe(422)
    expect(unknown.status).toBe(wrong.status)
    expect(neutral(unknown.html, nobody)).toBe(neutral(wrong.html, username))
    expect(unknown.text).toContain('Unknown user or wrong password.')
  })

  test('too many wrong passwords pause the account, with Retry-After', async () => {
    const { username } = await signUp(app)
    const browser = browserOf(app)
    for (let failure = 0; failure < 4; failure += 1) await signIn(browser, username, 'wrong')
    const page = await signIn(browser, username)
    expect(page.status).toBe(429)
    expect(Number(page.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(page.text).toContain('Too many failed sign-ins')
    expect(browser.cookies.has('__Host-session')).toBe(false)
  })

  test('a signed-in visitor is led past both entrances', async () => {
    const { browser } = await signUp(app)
    expect((await browser.open('/sign-in')).url.pathname).toBe('/account')
    expect((await browser.open('/sign-up')).url.pathname).toBe('/account')
  })

  test('is asked of whoever opens a page of the account, and leads back to it', async () => {
    const { username } = await signUp(app)
    const browser = browserOf(app)
    const entrance = await browser.open('/account/tokens')
    expect(entrance.url.pathname).toBe('/sign-in')
    const page = await browser.submit('/sign-in', { username, password: PASSWORD })
    expect(page.url.pathname).toBe('/account/tokens')
  })
})

describe('the session cookie', () => {
  test('is of this host alone, and out of reach of scripts', async () => {
    const { username } = await signUp(app)
    const browser = browserOf(app)
    const { html } = await browser.open('/sign-in')
    const { name, value } = cookieOf(browser, 'csrf')
    const token = csrfTokenIn(html)
    const response = await fetch(new URL('/sign-in', app.baseUrl), {
      method: 'POST',
      redirect: 'manual',
      headers: { cookie: `${name}=${value}` },
      body: new URLSearchParams({ csrf_token: token, username, password: PASSWORD }),
    })
    expect(response.status).toBe(303)
    const [cookie = ''] = response.headers.getSetCookie()
    expect(cookie).toMatch(/^__Host-session=browser_[\w-]{43};/)
    const attributes = cookie.split('; ').slice(1)
    expect(attributes).toEqual(
      expect.arrayContaining(['Path=/', 'Secure', 'HttpOnly', 'SameSite=Lax', 'Max-Age=43200']),
    )
    expect(cookie).not.toMatch(/domain/i)
  })

  test('is new at every sign-in, and the session it replaces ends (session fixation)', async () => {
    const { browser, username } = await signUp(app)
    const planted = browser.clone()
    const before = cookieOf(browser, 'session').value
    expect((await planted.open('/account')).url.pathname).toBe('/account')
    const { html } = await browser.open('/account')
    const fields = { csrf_token: csrfTokenIn(html), username, password: PASSWORD }
    expect((await browser.post('/sign-in', fields)).url.pathname).toBe('/account')
    expect(cookieOf(browser, 'session').value).not.toBe(before)
    expect((await planted.open('/account')).url.pathname).toBe('/sign-in')
  })

  test('a made-up or planted one is no session, and is not taken over', async () => {
    const { username } = await signUp(app)
    const browser = browserOf(app)
    browser.cookies.set('__Host-session', 'browser_planted')
    const page = await signIn(browser, username)
    expect(page.url.pathname).toBe('/account')
    expect(cookieOf(browser, 'session').value).not.toBe('browser_planted')
  })

  test('ends with signing out, also for a copy of it', async () => {
    const { browser } = await signUp(app)
    const copy = browser.clone()
    await browser.open('/account')
    const page = await browser.submit('/sign-out')
    expect(page.text).toContain('You are signed out.')
    expect(browser.cookies.has('__Host-session')).toBe(false)
    expect((await copy.open('/account')).url.pathname).toBe('/sign-in')
  })

  test('is listed by the name of the browser, without its header', async () => {
    const { username } = await signUp(app)
    const browser = browserOf(app)
    await browser.open('/sign-in')
    const headers = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; secret) Firefox/145.0' }
    await browser.submit('/sign-in', { username, password: PASSWORD }, { headers })
    const page = await browser.open('/account/connections')
    expect(page.text).toMatch(/Firefox on Linux This browser/)
    expect(page.text).not.toContain('secret')
  })

  test('opens nothing at /mcp', async () => {
    const { browser } = await signUp(app)
    const { value } = cookieOf(browser, 'session')
    await expect(app.app.services.sessions.resolve(value)).rejects.toMatchObject({
      code: 'unauthenticated',
    })
  })
})

describe('where a visitor is led after signing in', () => {
  test.each([
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '/%2Fevil.example',
    '/%5Cevil.example',
    '/\t/evil.example',
    ' //evil.example',
    '/account/../../evil',
    '/account//evil.example',
    '/account@evil.example',
    '/account?x=//evil.example',
    '/account#//evil.example',
    '/connect/abc/../..//evil.example',
    '/connect/abc?key=later&x=1',
    '/account/key?link=a b',
    '/oauth/authorize?client_id=x',
    'javascript:alert(1)',
    '/account\n',
    '',
  ])('not to %j', async (returnTo) => {
    const address = `/sign-in?return_to=${encodeURIComponent(returnTo)}`
    await signedOut.open(address)
    expect(signedOut.forms()[0]?.fields.map(([name]) => name)).not.toContain('return_to')
    const page = await known.browser.open(address)
    expect(page.left).toBeUndefined()
    expect(page.url.pathname + page.url.search).toBe('/account')
  })

  test('to the page, without what was said there before', async () => {
    const browser = browserOf(app)
    const entrance = await browser.open('/account/key?done=key-removed')
    expect(entrance.url.search).toBe(`?return_to=${encodeURIComponent('/account/key')}`)
    const filled = { username: known.username, password: PASSWORD }
    const page = await browser.submit('/sign-in', filled)
    expect(page.url.pathname + page.url.search).toBe('/account/key')
  })

  test.each(['//evil.example', '/\\evil.example'])('not to %j in a form', async (returnTo) => {
    const browser = browserOf(app)
    await browser.open('/sign-in')
    const filled = { username: known.username, password: PASSWORD, return_to: returnTo }
    expect((await browser.submit('/sign-in', filled)).url.href).toBe(`${app.baseUrl}/account`)
    const page = await browser.submit('/sign-out', { return_to: returnTo })
    expect(page.left).toBeUndefined()
    expect(page.url.search).toBe('?done=signed-out')
  })

  const ID = '01a203ad-e234-7157-9eed-864f92cdb276'
  test.each([
    [`/account/conversations/${ID}/messages`, `/account/conversations/${ID}`],
    ['/account/shares/from', '/account/shares'],
    ['/account/links/end', '/account/links'],
  ])('from a form sent to %s to its page', async (address, page) => {
    const browser = browserOf(app)
    const csrf_token = csrfTokenIn((await browser.open('/sign-in')).html)
    const sent = await browser.post(address, { csrf_token }, { origin: app.config.http.publicUrl })
    expect(sent.url.search).toBe(`?return_to=${encodeURIComponent(page)}`)
  })

  test.each([
    '/account/usage',
    '/account/key?link=link_abc-DEF_1',
    '/account/import',
    '/account/requests',
    `/account/shares?conversation=${ID}`,
    `/account/links?conversation=${ID}`,
    `/account/links/${ID}/update`,
    '/account/conversations?filter=shared',
    `/account/conversations/${ID}/edit/${ID}`,
    `/account/conversations/${ID}/export?format=json`,
  ])('but to %s', async (path) => {
    const browser = browserOf(app)
    await browser.open(`/sign-in?return_to=${encodeURIComponent(path)}`)
    const page = await browser.submit('/sign-in', { username: known.username, password: PASSWORD })
    expect(page.url.pathname + page.url.search).toBe(path)
  })

  let known: Visitor
  let signedOut: Browser
  beforeAll(async () => {
    known = await signUp(app)
    signedOut = browserOf(app)
  })
})

test('with plain http, and closed registration', async () => {
  const plain = await startApp({
    kind: 'embedded',
    env: { PUBLIC_URL: 'http://127.0.0.1:3000', REGISTRATION: 'closed' },
  })
  try {
    const browser = browserOf(plain)
    const home = await browser.open('/')
    expect(home.text).toContain('http://127.0.0.1:3000/mcp')
    expect(home.html).not.toContain('href="/sign-up"')
    const page = await browser.open('/sign-up')
    expect(page.text).toContain('Registration is closed')
    expect(browser.forms()).toEqual([])
    await browser.open('/sign-in')
    expect([...browser.cookies.keys()]).toEqual(['csrf'])
    const token = csrfTokenIn(browser.page.html)
    const username = newName()
    const email = `${username}@example.com`
    const wanted = { csrf_token: token, username, email, password: PASSWORD }
    const refused = await browser.post('/sign-up', wanted)
    expect(refused.status).toBe(403)
    expect(refused.text).toContain('Registration is closed')
  } finally {
    await plain.close()
  }
})
