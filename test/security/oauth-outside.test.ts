/** The gateway behind https, as strangers, proxies and neighbouring sites meet it. */

import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createFlow, LOOPBACK_REDIRECT, type OAuthFlow } from '../support/oauth-flow.ts'
import { startApp, type TestApp } from '../support/start-app.ts'
import { cookieOf } from '../web/pages/visiting.ts'
import { type ConnectedUser, newConnectedUser } from './connected-user.ts'

const OWN = 'https://gateway.example'
const MAX_REGISTRATIONS = 12
const MAX_OAUTH_REQUESTS = 30

let app: TestApp
let flow: OAuthFlow
let user: ConnectedUser
let clientId: string

beforeAll(async () => {
  app = await startApp({
    kind: 'embedded',
    env: {
      PUBLIC_URL: OWN,
      CLIENT_REGISTRATIONS_PER_HOUR: String(MAX_REGISTRATIONS),
      OAUTH_REQUESTS_PER_MINUTE: String(MAX_OAUTH_REQUESTS),
    },
  })
  flow = createFlow(app.baseUrl)
  user = await newConnectedUser(app, flow)
  clientId = await flow.newClient()
})
afterAll(() => app.close())

/** What the client asks for, of the gateway by its real name. */
const asking = (changes: Record<string, string | undefined> = {}) =>
  flow.authorization(clientId, { resource: `${OWN}/mcp`, ...changes })

const visit = (path: string | URL, headers: Record<string, string> = {}) =>
  fetch(new URL(path, app.baseUrl), {
    redirect: 'manual',
    headers: { accept: 'text/html', ...headers },
  })

/** With headers that fetch would not send. */
const visitAs = (path: string, headers: Record<string, string>) =>
  new Promise<{ status: number; headers: Record<string, string | string[] | undefined> }>(
    (resolve, reject) => {
      request(app.baseUrl + path, { headers }, (res) => {
        resolve({ status: res.resume().statusCode ?? 0, headers: res.headers })
      })
        .on('error', reject)
        .end()
    },
  )

const FORGED = {
  'x-forwarded-host': 'evil.example',
  'x-forwarded-proto': 'http',
  'x-forwarded-port': '81',
  'x-forwarded-prefix': '/evil',
  'x-forwarded-server': 'evil.example',
  'x-original-url': '/evil',
  'x-rewrite-url': '/evil',
  forwarded: 'host=evil.example;proto=http',
}

describe('what a request says of our address', () => {
  test('changes no issuer, no link and no cookie, without TRUST_PROXY', async () => {
    const metadata = await visit('/.well-known/oauth-authorization-server', FORGED)
    expect(await metadata.json()).toMatchObject({ issuer: OWN, jwks_uri: `${OWN}/oauth/jwks` })
    const challenge = await fetch(app.url, {
      method: 'POST',
      headers: { ...FORGED, 'content-type': 'application/json', authorization: 'Bearer x' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
    })
    expect(challenge.headers.get('www-authenticate')).toContain(`resource_metadata="${OWN}/`)
    const asked = await visit(asking().url, FORGED)
    expect(asked.headers.get('location')).toMatch(/^\/connect\//)
    const home = await visit('/', FORGED)
    expect(await home.text()).toContain(`${OWN}/mcp`)
    const entrance = await visit('/sign-in', FORGED)
    for (const answer of [asked, entrance]) {
      expect(answer.headers.getSetCookie()).toHaveLength(1)
      expect(answer.headers.getSetCookie()[0]).toMatch(/^__Host-.*; Secure/)
    }
    for (const { headers } of [metadata, challenge, asked, home, entrance]) {
      expect(JSON.stringify([...headers])).not.toContain('evil')
    }
  })

  test('as its Host is refused by the pages, and changes nothing elsewhere', async () => {
    for (const path of ['/', '/sign-in', '/account', '/connect/x', '/account/export']) {
      expect([path, (await visitAs(path, { host: 'evil.example' })).status]).toEqual([path, 403])
    }
    const { pathname, search } = asking().url
    const asked = await visitAs(pathname + search, { host: 'evil.example' })
    expect(asked.headers.location).toMatch(/^\/connect\//)
  })
})

describe('a cookie', () => {
  test('is bound to this host over https, out of reach of scripts and of other sites', async () => {
    const asked = await visit(asking().url)
    const entrance = await visit('/sign-in')
    const { name, value } = cookieOf(user.browser, 'session')
    const out = await visit('/account', { cookie: `${name}=${value}` })
    expect(out.headers.getSetCookie()).toEqual([])
    const cookies = [asked, entrance].flatMap(({ headers }) => headers.getSetCookie())
    expect(cookies.map((cookie) => cookie.split('=')[0])).toEqual([
      expect.stringMatching(/^__Host-flow-[\w-]{8}$/),
      '__Host-csrf',
    ])
    for (const cookie of cookies) {
      const attributes = cookie.split('; ').slice(1)
      expect(attributes).toEqual(
        expect.arrayContaining(['Path=/', 'HttpOnly', 'SameSite=Lax', 'Secure']),
      )
      expect(cookie).not.toMatch(/domain=/i)
    }
  })

  test('that a neighbouring site or a plain connection could plant is not read', async () => {
    const { value } = cookieOf(user.browser, 'session')
    const planted = await visit('/account', { cookie: `session=${value}` })
    expect(planted.headers.get('location')).toBe('/sign-in?return_to=%2Faccount')
    const asked = await visit(asking().url)
    const uid = asked.headers.get('location')?.split('/').at(-1) ?? ''
    const own = `__Host-session=${value}`
    const flows: [string, number][] = [
      [`flow-${uid.slice(0, 8)}=${uid}`, 404],
      [`interaction=${uid}; resume=${uid}`, 404],
      [`__Host-flow-${uid.slice(0, 8)}=x`, 404],
      [`__Host-flow-${uid.slice(0, 8)}=${uid}`, 200],
    ]
    for (const [cookie, status] of flows) {
      const answer = await visit(`/connect/${uid}`, { cookie: `${own}; ${cookie}` })
      expect([cookie, answer.status]).toEqual([cookie, status])
    }
  })
})

describe('an answer', () => {
  test('that a browser shows cannot be framed, run anything or be kept (clickjacking)', async () => {
    const { name, value } = cookieOf(user.browser, 'session')
    const asked = await visit(asking().url)
    const [flowCookie = ''] = asked.headers.getSetCookie()
    const cookie = `${name}=${value}; ${flowCookie.split(';')[0]}`
    const consent = asked.headers.get('location') ?? ''
    for (const path of [
      '/',
      '/nothing-here',
      '/sign-in',
      '/account/tokens',
      '/account/nothing-here',
      '/account/key?link=malformed',
      '/connect/of-another-browser-altogether',
      consent,
      '/oauth/authorize',
      '/oauth/authorize?client_id=nobody&redirect_uri=https://evil.example',
      asking({ redirectUri: 'https://evil.example/' }).url.href,
      '/oauth/authorize/of-another-browser-altogether',
      '/oauth/nothing-here',
    ]) {
      const { headers } = await visit(path, { cookie })
      const policy = headers.get('content-security-policy')?.split('; ')
      const strict = ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"]
      expect([path, policy]).toEqual([path, expect.arrayContaining(strict)])
      expect(policy?.filter((directive) => directive.includes('unsafe'))).toEqual([])
      expect([path, headers.get('x-frame-options')]).toEqual([path, 'DENY'])
      expect([path, headers.get('cache-control')]).toEqual([path, 'no-store'])
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('strict-transport-security')).toContain('max-age=')
    }
  })

  test('with a secret in it is kept in no cache, an error likewise', async () => {
    const asked = asking()
    const left = new URL((await user.approve(asked)).href)
    expect(`${left.origin}${left.pathname}`).toBe(LOOPBACK_REDIRECT)
    const exchanged = await flow.exchange(asked, left)
    const refreshed = await flow.refresh(clientId, exchanged.body.refresh_token)
    const registered = await flow.register({ redirect_uris: ['https://client.example/'] })
    const refused = await flow.refresh(clientId, 'nothing')
    expect(registered.body.client_secret).toBeTruthy()
    const statuses = [exchanged, refreshed, registered, refused].map(({ status }) => status)
    expect(statuses).toEqual([200, 200, 201, 400])
    for (const { headers } of [exchanged, refreshed, registered, refused]) {
      expect(headers.get('cache-control')).toBe('no-store')
    }
  })
})

describe('a flood', () => {
  test('of registrations ends at the limit of its address, however the address is spelled', async () => {
    const body = JSON.stringify({ redirect_uris: ['https://client.example/'] })
    const register = (path: string) =>
      fetch(app.baseUrl + path, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-forwarded-for': `10.0.0.${Math.random()}`,
        },
        body,
      })
    let made = 0
    for (let i = 0; i <= MAX_REGISTRATIONS; i += 1) {
      if ((await register('/oauth/register')).status === 201) made += 1
    }
    expect(made).toBeLessThan(MAX_REGISTRATIONS)
    const refused = await register('/oauth/register')
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    for (const path of [
      '/oauth/REGISTER',
      '/oauth/register/',
      '/oauth//register',
      '/oauth/%72egister',
    ]) {
      expect([path, (await register(path)).status]).toEqual([path, 404])
    }
  })

  test('of guesses ends at the limit of each endpoint', async () => {
    for (const path of ['/oauth/token', '/oauth/revoke', '/oauth/authorize']) {
      const ask = () =>
        path === '/oauth/authorize'
          ? visit(path)
          : fetch(app.baseUrl + path, { method: 'POST', body: new URLSearchParams({ token: 'x' }) })
      const statuses: number[] = []
      for (let i = 0; i <= MAX_OAUTH_REQUESTS; i += 1) statuses.push((await ask()).status)
      expect([path, statuses.at(-1)]).toEqual([path, 429])
    }
  })
})
