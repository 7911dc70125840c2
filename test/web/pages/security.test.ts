/** What another site, another user or a script in a name could try on the pages. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Browser } from '../../support/browser.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { browserOf, csrfTokenIn, newName, PASSWORD, signUp, type Visitor } from './visiting.ts'

const OWN = 'https://gateway.example'

let app: TestApp
let ada: Visitor
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: OWN } })
  ada = await signUp(app)
})
afterAll(() => app.close())

const tokenOf = async (browser: Browser, path: string) =>
  csrfTokenIn((await browser.open(path)).html)

const hasKey = async () =>
  (await app.app.services.accounts.keyStatus(ada.userId))?.lastFour === 'ours'

describe('a form that another site sends (CSRF)', () => {
  const forgeries: [string, Record<string, string>, 'good' | 'none' | 'foreign'][] = [
    ['without a token', { origin: OWN }, 'none'],
    ["with another session's token", { origin: OWN }, 'foreign'],
    ['of another origin', { origin: 'https://evil.example' }, 'good'],
    ['of no origin', { origin: 'null' }, 'good'],
    ['of a neighbouring subdomain', { 'sec-fetch-site': 'same-site', origin: OWN }, 'good'],
    ['of another site', { 'sec-fetch-site': 'cross-site' }, 'good'],
    ['by a link of nobody', { 'sec-fetch-site': 'none' }, 'good'],
  ]
  test.each(forgeries)('%s is refused', async (_name, headers, kind) => {
    const stranger = kind === 'foreign' ? (await signUp(app)).browser : ada.browser
    const token = await tokenOf(stranger, '/account/key')
    const fields = { key: 'sk-ant-api03-ours', ...(kind === 'none' ? {} : { csrf_token: token }) }
    const page = await ada.browser.post('/account/key', fields, headers)
    expect(page.status).toBe(403)
    expect(page.text).toContain('sent from another site')
    expect(await hasKey()).toBe(false)
  })

  test('is refused for signing in and up, out and away, too', async () => {
    const paths = ['/sign-in', '/sign-up', '/sign-out']
    for (const path of paths) {
      const username = newName()
      const fields = { username, email: `${username}@example.com`, password: PASSWORD }
      expect((await browserOf(app).post(path, fields, { origin: OWN })).status).toBe(403)
    }
    const members = ['/account/export', '/account/delete', '/account/connections/end-all']
    for (const path of members) {
      expect((await ada.browser.post(path, {}, { origin: OWN })).status, path).toBe(403)
    }
    expect((await ada.browser.open('/account')).url.pathname).toBe('/account')
  })

  test("a signed-out visitor's token is bound to a cookie of this browser", async () => {
    const [mine, other] = [browserOf(app), browserOf(app)]
    const token = await tokenOf(mine, '/sign-in')
    await other.open('/sign-in')
    const fields = { csrf_token: token, username: ada.username, password: PASSWORD }
    expect((await other.post('/sign-in', fields, { origin: OWN })).status).toBe(403)
    expect((await mine.post('/sign-in', fields, { origin: OWN })).status).toBe(200)
  })

  test('and the same form from our own page is taken', async () => {
    const fields = {
      key: 'sk-ant-api03-ours',
      csrf_token: await tokenOf(ada.browser, '/account/key'),
    }
    const page = await ada.browser.post('/account/key', fields, { 'sec-fetch-site': 'same-origin' })
    expect(page.status).toBe(200)
    expect(await hasKey()).toBe(true)
  })
})

describe('headers', () => {
  const PAGES = ['/', '/sign-in', '/sign-up', '/account', '/account/key', '/account/nothing']
  test.each(PAGES)(
    '%s can hold nothing inline, cannot be framed, and is not stored',
    async (path) => {
      const { headers, html } = await ada.browser.open(path)
      expect(headers.get('content-security-policy')).toBe(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
      )
      expect(headers.get('x-frame-options')).toBe('DENY')
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('referrer-policy')).toBe('same-origin')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(html).not.toMatch(/<script|<style|\sstyle=|\son[a-z]+=/)
    },
  )

  test('the stylesheet is there, and cached for good', async () => {
    const { html } = await browserOf(app).open('/')
    const path = /href="(\/assets\/[^"]+)"/.exec(html)?.[1] ?? ''
    const response = await fetch(new URL(path, app.baseUrl))
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toContain('text/css')
    expect(response.headers.get('cache-control')).toContain('immutable')
    expect(await response.text()).toContain('prefers-color-scheme: dark')
  })

  test('a foreign Host is refused (DNS rebinding)', async () => {
    const { request } = await import('node:http')
    const status = await new Promise((resolve, reject) => {
      const headers = { host: 'evil.example' }
      request(`${app.baseUrl}/sign-in`, { headers }, (res) => resolve(res.resume().statusCode))
        .on('error', reject)
        .end()
    })
    expect(status).toBe(403)
  })
})

describe('a page that fails', () => {
  test('is a page for people, and JSON for everybody else', async () => {
    const page = await browserOf(app).open('/nothing-here')
    expect(page.status).toBe(404)
    expect(page.headers.get('content-type')).toContain('text/html')
    expect(page.html).toContain('<h1>Nothing here</h1>')
    const json = await fetch(new URL('/nothing-here', app.baseUrl))
    expect(json.status).toBe(404)
    expect(await json.json()).toMatchObject({ error: { code: 'not_found' } })
  })

  test.each([
    ['too large', 'a='.padEnd(20_000, 'x'), 413],
    ['with too many fields', 'a=1&'.repeat(80), 413],
    ['in no known encoding', 'a=1', 400],
  ])('a form %s', async (_name, body, status) => {
    const encoding: Record<string, string> = status === 400 ? { 'content-encoding': 'zip' } : {}
    const response = await fetch(new URL('/sign-in', app.baseUrl), {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...encoding },
    })
    expect(response.headers.get('content-type')).toContain('text/html')
    expect(response.status).toBe(status)
    expect(await response.text()).not.toMatch(/node_modules|\.ts:|Error: .*\bat\b/)
  })

  test('what the address says is never put on the page', async () => {
    const hostile = encodeURIComponent('<script>alert(1)</script>')
    for (const path of ['/?done=', '/sign-in?done=', '/sign-in?return_to=', '/account/key?link=']) {
      const { html } = await ada.browser.open(path + hostile)
      expect(html).not.toContain('<script>')
      expect(html).not.toContain('alert(1)')
    }
    const { html } = await browserOf(app).open('/sign-in?done=constructor')
    expect(html).not.toContain('role="status"')
  })

  test('a notice stands on its own page only', async () => {
    const shown = async (path: string) =>
      (await ada.browser.open(path)).html.includes('role="status"')
    expect(await shown('/account/key?done=key-removed')).toBe(true)
    for (const path of ['/', '/account', '/account/password', '/account/usage']) {
      expect(await shown(`${path}?done=key-removed`), path).toBe(false)
    }
    expect(await shown('/?done=signed-out')).toBe(false)
  })

  test('leads somebody who is signed in back to the account', async () => {
    const { status, html } = await ada.browser.open('/account/nothing')
    expect(status).toBe(404)
    expect(html).toContain('<a href="/account">To your account</a>')
    expect(html).not.toContain('To the start page')
    expect((await browserOf(app).open('/nothing')).html).toContain('To the start page')
  })
})

test('no password, key or cookie reaches the log', async () => {
  const { browser } = await signUp(app)
  await browser.open('/account/key')
  await browser.submit('/account/key', { key: 'sk-ant-api03-never-in-a-log' })
  const log = app.logLines.join('\n')
  expect(log).toContain('"route":"/account/key"')
  expect(log).not.toContain(PASSWORD)
  expect(log).not.toContain('never-in-a-log')
  for (const value of browser.cookies.values()) expect(log).not.toContain(value)
})
