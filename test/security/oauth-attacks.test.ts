/** What docs/SECURITY.md says of connectors and pages, tried on the running gateway. */

import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { importJWK, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Passwords } from '../../src/crypto/passwords.ts'
import { openDatabase } from '../../src/database/open.ts'
import { hashOf } from '../../src/services/access/sessions.ts'
import { type FreshDatabase, freshDatabaseOptions } from '../support/databases.ts'
import { startOAuthApp } from '../support/oauth-app.ts'
import { createFlow, LOOPBACK_REDIRECT, type OAuthFlow } from '../support/oauth-flow.ts'
import { browserSession, personalToken } from '../support/signed-up.ts'
import type { TestApp } from '../support/start-app.ts'
import { browserOf, cookieOf, csrfTokenIn, PASSWORD, signUp } from '../web/pages/visiting.ts'
import { dumpTables, placesOf } from './at-rest.ts'
import { type Connected, type ConnectedUser, newConnectedUser } from './connected-user.ts'

const WEB_REDIRECT = 'https://client.example/callback'

let fresh: FreshDatabase
let app: TestApp
let flow: OAuthFlow
let user: ConnectedUser
/** Everything that must not be found anywhere, by its name. */
const secrets: Record<string, string> = {}

beforeAll(async () => {
  fresh = await freshDatabaseOptions('embedded')
  const ENCRYPTION_KEY = randomBytes(32).toString('base64')
  app = await startOAuthApp({ kind: 'embedded', database: fresh, env: { ENCRYPTION_KEY } })
  flow = createFlow(app.baseUrl)
  user = await newConnectedUser(app, flow)
  secrets.encryptionKey = ENCRYPTION_KEY
})
afterAll(() => fresh.drop())

/** As a browser would, without following it. */
const visit = (url: string | URL, headers: Record<string, string> = {}) =>
  fetch(new URL(url, app.baseUrl), {
    redirect: 'manual',
    headers: { accept: 'text/html', ...headers },
  })

const isGood = async (accessToken: string) =>
  (await flow.callTool(accessToken, 'get_conversations')).status === 200

async function expectEnded({ asked, accessToken }: Connected, refreshToken: string) {
  expect(await isGood(accessToken)).toBe(false)
  const refreshed = await flow.refresh(asked.clientId, refreshToken)
  expect([refreshed.status, refreshed.body.error]).toEqual([400, 'invalid_grant'])
}

describe('an authorization code', () => {
  test('that is used twice ends the connection it made', async () => {
    const connected = await user.connect()
    expect(await isGood(connected.accessToken)).toBe(true)
    const again = await flow.exchange(connected.asked, connected.callback)
    expect([again.status, again.body.error]).toEqual([400, 'invalid_grant'])
    await expectEnded(connected, connected.refreshToken)
  })

  test('used many times at once gives tokens once', async () => {
    const asked = flow.authorization(await flow.newClient())
    const callback = await user.approve(asked)
    const answers = await Promise.all([1, 2, 3, 4].map(() => flow.exchange(asked, callback)))
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1)
    expect(answers.filter(({ body }) => body.error === 'invalid_grant').length).toBeGreaterThan(2)
  })

  test('that was stolen is of no use without the verifier, to another client or at another address', async () => {
    const asked = flow.authorization(await flow.newClient())
    const callback = await user.approve(asked)
    const challenge = asked.url.searchParams.get('code_challenge') ?? ''
    const thefts: Record<string, Record<string, string>> = {
      'no verifier': { code_verifier: '' },
      'another verifier': { code_verifier: 'x'.repeat(43) },
      'the challenge as verifier (plain)': { code_verifier: challenge },
      "the verifier's beginning": { code_verifier: asked.verifier.slice(0, -1) },
      'another client (mix-up)': { client_id: await flow.newClient() },
      'another redirect address': { redirect_uri: 'http://127.0.0.1:1/callback' },
    }
    for (const [name, change] of Object.entries(thefts)) {
      const { status, body } = await flow.exchange(asked, callback, change)
      expect([name, status, body.access_token]).toEqual([name, 400, undefined])
    }
    expect((await flow.exchange(asked, callback)).status).toBe(200)
  })

  test('that asks to be told who somebody is gets an access token and no more', async () => {
    const scope = 'openid profile email usage:read'
    const asked = flow.authorization(await flow.newClient(), { scope })
    const { status, body } = await flow.exchange(asked, await user.approve(asked))
    expect([status, body.scope]).toEqual([200, 'usage:read'])
    expect(Object.keys(body).sort()).toEqual([
      'access_token',
      'expires_in',
      'refresh_token',
      'scope',
      'token_type',
    ])
    expect((await visit('/oauth/userinfo')).status).toBe(404)
  })

  test('comes with the name of its issuer, and so does a refusal (mix-up)', async () => {
    const asked = flow.authorization(await flow.newClient())
    const page = await user.browser.open(asked.url)
    const { left } = await user.browser.submit(page.url.pathname, {}, { button: 'Deny' })
    for (const answer of [await user.approve(asked), left]) {
      expect(answer?.searchParams.get('iss')).toBe(app.baseUrl)
      expect(answer?.searchParams.get('state')).toBe(asked.state)
    }
  })

  test('goes to the browser that was asked, not to one that knows the address', async () => {
    const asked = flow.authorization(await flow.newClient())
    const page = await user.browser.open(asked.url)
    const cookie = [...user.browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const approved = await fetch(page.url, {
      method: 'POST',
      redirect: 'manual',
      headers: { cookie },
      body: new URLSearchParams([
        ...(user.browser.forms().find(({ action }) => action === page.url.pathname)?.fields ?? []),
        ['confirmed', 'yes'],
        ['decision', 'approve'],
      ]),
    })
    const onward = approved.headers.get('location') ?? ''
    expect(new URL(onward, app.baseUrl).pathname).toMatch(/^\/oauth\/authorize\/[\w-]+$/)
    const { name, value } = cookieOf(user.browser, 'session')
    for (const other of ['', `${name}=${value}`, `${name}=${value}; flow-x=y`]) {
      const stolen = await visit(onward, other === '' ? {} : { cookie: other })
      expect([stolen.status, stolen.headers.get('location')]).toEqual([400, null])
    }
    const own = await visit(onward, { cookie })
    expect(own.headers.get('location')).toContain(`${LOOPBACK_REDIRECT}?code=`)
  })
})

describe('a redirect address', () => {
  const TRICKS = [
    'https://evil.example/callback',
    `${WEB_REDIRECT}/`,
    `${WEB_REDIRECT}/../evil`,
    `${WEB_REDIRECT}/%2e%2e/evil`,
    `${WEB_REDIRECT}?x=1`,
    `${WEB_REDIRECT}#x`,
    `${WEB_REDIRECT}\\@evil.example`,
    `${WEB_REDIRECT}\r\nSet-Cookie: a=b`,
    'https://client.example/Callback',
    'https://CLIENT.example/callback',
    'https://client.example/%63allback',
    'https://client.example:8443/callback',
    'https://client.example.evil.example/callback',
    'https://client.example@evil.example/callback',
    'https://evil.example/?https://client.example/callback',
    'http://client.example/callback',
    '//client.example/callback',
    'javascript:alert(1)//https://client.example/callback',
    'http://127.0.0.1.evil.example:49152/callback',
    'http://127.0.0.1:49152@evil.example/callback',
    'http://evil@127.0.0.1:49152/callback',
    'http://127.0.0.1:49152/callback/',
    'http://127.0.0.1:49152/callback?x=1',
    'http://127.0.0.1:49152/callback#x',
    'http://127.1:49152/callback',
    'http://localhost:49152/callback',
    'https://127.0.0.1:49152/callback',
    '',
  ]

  test('that was not registered gets nobody and nothing, whatever it looks like', async () => {
    const id = await flow.newClient({ redirect_uris: [WEB_REDIRECT, LOOPBACK_REDIRECT] })
    for (const redirectUri of TRICKS) {
      for (const prompt of [undefined, 'none']) {
        const answer = await visit(flow.authorization(id, { redirectUri, prompt }).url)
        const { status, headers } = answer
        expect([redirectUri, status, headers.get('location')]).toEqual([redirectUri, 400, null])
        expect(await answer.text()).not.toContain('href="http')
      }
    }
  })

  test('that would run, or be read from, or be unprotected is not registered', async () => {
    const bad = [
      'javascript:alert(1)',
      'JavaScript:alert(1)',
      'java\nscript:alert(1)',
      'data:text/html,<script>alert(1)</script>',
      'vbscript:x',
      'blob:https://client.example/x',
      'file:///etc/passwd',
      'about:blank',
      'http://client.example/callback',
      'http://localhost.evil.example/callback',
      'http://127.0.0.1.evil.example/callback',
      'http://0.0.0.0/callback',
      'http://169.254.169.254/latest',
      `${WEB_REDIRECT}#fragment`,
      'client.example/callback',
    ]
    for (const uri of bad) {
      const { status, body } = await flow.register({ redirect_uris: [WEB_REDIRECT, uri] })
      expect([uri, status, body.error]).toEqual([uri, 400, 'invalid_redirect_uri'])
    }
  })

  test('of a site is reached by no error that comes before a decision (open redirect)', async () => {
    const id = await flow.newClient({ redirect_uris: [WEB_REDIRECT, LOOPBACK_REDIRECT] })
    const mistakes: Record<string, string>[] = [
      { prompt: 'none' },
      { response_type: 'token' },
      { response_mode: 'fragment', prompt: 'none' },
      { response_mode: 'form_post' },
      { code_challenge_method: 'plain' },
      { resource: 'https://elsewhere.example/mcp' },
      { request_uri: 'https://evil.example/request' },
    ]
    for (const mistake of mistakes) {
      const answer = await visit(
        flow.authorization(id, { ...mistake, redirectUri: WEB_REDIRECT }).url,
      )
      expect([mistake, answer.status]).toEqual([mistake, 400])
      expect(answer.headers.get('location')).toBeNull()
      const page = await answer.text()
      expect(page).toContain('<strong>client.example</strong>')
      expect(page).not.toContain('<script')
    }
    const redirectUri = `${WEB_REDIRECT}?error=urgent&error_description=Call+us+at+once`
    const loud = await flow.newClient({ redirect_uris: [redirectUri] })
    const said = await visit(flow.authorization(loud, { redirectUri, registration: '{}' }).url)
    expect(await said.text()).toMatch(/<p>[^<]*\(registration_not_supported\)<\/p>/)
    const own = 'com.example.app:/callback'
    const appId = await flow.newClient({ redirect_uris: [own] })
    const launch = await visit(flow.authorization(appId, { redirectUri: own, prompt: 'none' }).url)
    expect([launch.status, launch.headers.get('location')]).toEqual([400, null])
    expect(await launch.text()).not.toContain('href="com.example')
    const local = await visit(flow.authorization(id, { prompt: 'none' }).url)
    expect(local.headers.get('location')).toContain(`${LOOPBACK_REDIRECT}?error=login_required`)
  })

  test('and a state with line breaks write no header of ours', async () => {
    const state = 'x\r\nSet-Cookie: planted=1\r\n\r\n<script>alert(1)</script>'
    const asked = flow.authorization(await flow.newClient(), { state })
    const refused = await visit(`${asked.url}&prompt=none`)
    const callback = await user.approve(asked)
    for (const location of [refused.headers.get('location') ?? '', callback.href]) {
      expect(location).toContain('state=x%0D%0ASet-Cookie')
    }
    expect(refused.headers.getSetCookie()).toEqual([])
    expect(await refused.text()).not.toContain('<script')
  })

  test('adds nothing but itself to the policy of the consent page', async () => {
    const ours = (await visit('/')).headers.get('content-security-policy')?.split('; ') ?? []
    for (const host of ['x;sandbox', 'x,y', '*', "x'y", '*.example', '[2606:4700::1111]']) {
      const redirectUri = `https://${host}/callback`
      const id = await flow.newClient({ redirect_uris: [redirectUri] })
      const page = await user.browser.open(flow.authorization(id, { redirectUri }).url)
      expect(page.text).toContain('Approve')
      const policy = page.headers.get('content-security-policy') ?? ''
      const others = ours.filter((directive) => !directive.startsWith('form-action'))
      expect(policy.split('; ')).toEqual([
        ...others.slice(0, 3),
        "form-action 'self' https:",
        ...others.slice(3),
      ])
    }
  })
})

describe('a token', () => {
  const sign = async (claims: object, header: object = {}) => {
    const { kid, privateJwk } = app.app.services.signingKeys.current.signer
    return new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'EdDSA', kid, typ: 'at+jwt', ...header })
      .sign(await importJWK({ ...privateJwk }, 'EdDSA'))
  }

  test('that this issuer signed for something else opens nothing', async () => {
    const { asked, accessToken } = await user.connect()
    const claims = JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString())
    const browser = await app.app.services.sessions.findBrowserSession(
      cookieOf(user.browser, 'session').value,
    )
    const others: Record<string, string> = {
      'an ID token': await sign({ ...claims, aud: asked.clientId, nonce: 'n' }, { typ: 'JWT' }),
      'a token for the client': await sign({ ...claims, aud: asked.clientId }),
      'a token for the issuer': await sign({ ...claims, aud: app.baseUrl }),
      'a token for a neighbour': await sign({ ...claims, aud: `${app.baseUrl}/mcp2` }),
      'of another issuer': await sign({ ...claims, iss: `${app.baseUrl}/` }),
      'no access token by its type': await sign(claims, { typ: 'logout+jwt' }),
      'a browser session by its id': await sign({ ...claims, jti: browser?.sessionId }),
    }
    for (const [name, token] of Object.entries(others)) {
      expect([name, (await flow.callTool(token, 'get_conversations')).status]).toEqual([name, 401])
    }
    expect(await isGood(await sign(claims))).toBe(true)
  })

  test('does not gain a scope by being signed with one', async () => {
    const { accessToken } = await user.connect({ scope: 'usage:read' })
    const claims = JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString())
    const widened = await sign({ ...claims, scope: 'usage:read conversations:read account' })
    const answer = await flow.callTool(widened, 'get_conversations')
    expect(answer.status).toBe(403)
    expect(answer.headers.get('www-authenticate')).toContain('insufficient_scope')
  })

  test('is taken from its header only, and no secret of another kind is one', async () => {
    const connected = await user.connect()
    const { accessToken, refreshToken, callback, asked } = connected
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'resources/list' })
    const call = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
    const inQuery = await fetch(`${app.url}?access_token=${accessToken}`, {
      ...call,
      body: JSON.stringify({
        ...JSON.parse(body),
        method: 'tools/call',
        params: { name: 'claude-api-gateway_get_conversations', arguments: {} },
      }),
    })
    expect(inQuery.status).toBe(401)
    const { value: cookie } = cookieOf(user.browser, 'session')
    const code = callback.searchParams.get('code') ?? ''
    for (const other of [refreshToken, code, cookie, asked.clientId, PASSWORD, user.apiKey]) {
      expect((await flow.callTool(other.replaceAll(' ', '_'), 'get_conversations')).status).toBe(
        401,
      )
    }
  })

  test('for /mcp opens no page, whoever has it', async () => {
    const { accessToken } = await user.connect({ scope: 'account' })
    const browser = browserOf(app)
    const { name } = cookieOf(user.browser, 'session')
    browser.cookies.set(name, accessToken)
    const page = await browser.open('/account/tokens', { authorization: `Bearer ${accessToken}` })
    expect(page.url.pathname).toBe('/sign-in')
    const made = await browser.post(
      '/account/tokens',
      { name: 'more', days: '365', permissions: 'account' },
      { authorization: `Bearer ${accessToken}` },
    )
    expect(made.url.pathname).toBe('/sign-in')
  })

  test('that was stolen from a connection deletes no account without the password', async () => {
    const victim = await newConnectedUser(app, flow)
    const { accessToken } = await victim.connect({ scope: 'account' })
    const args = { confirm: victim.username, password: `${PASSWORD}!` }
    const refused = await flow.callTool(accessToken, 'delete_my_account', args)
    expect(JSON.stringify(refused.body)).toContain('invalid_credentials')
    const changed = await flow.callTool(accessToken, 'change_password', {
      current_password: 'a good guess it was',
      new_password: 'the thief has it now',
    })
    expect(JSON.stringify(changed.body)).toContain('invalid_credentials')
    expect((await victim.browser.open('/account')).url.pathname).toBe('/account')
  })

  test("of one user ends nothing of another's", async () => {
    const [other, { accessToken }] = [
      await newConnectedUser(app, flow),
      await user.connect({ scope: 'account' }),
    ]
    const theirs = await other.connect()
    const browser = await app.app.services.sessions.findBrowserSession(
      cookieOf(other.browser, 'session').value,
    )
    const claims = JSON.parse(
      Buffer.from(theirs.accessToken.split('.')[1] ?? '', 'base64url').toString(),
    )
    for (const session_id of [claims.jti, browser?.sessionId]) {
      const { body } = await flow.callTool(accessToken, 'revoke_token', { session_id })
      expect(JSON.stringify(body)).toContain('not_found')
    }
    expect(await isGood(theirs.accessToken)).toBe(true)
    expect((await other.browser.open('/account')).url.pathname).toBe('/account')
  })
})

describe('a refresh token', () => {
  test('that is used again later ends its connection, for thief and owner', async () => {
    const connected = await user.connect()
    const { asked, refreshToken } = connected
    const { status, body } = await flow.refresh(asked.clientId, refreshToken)
    expect([status, body.refresh_token === refreshToken]).toEqual([200, false])
    await app.app.db
      .updateTable('oauthRecords')
      .set({ consumedAt: new Date(Date.now() - 31_000) })
      .where('key', '=', hashOf(refreshToken))
      .execute()
    const reused = await flow.refresh(asked.clientId, refreshToken)
    expect([reused.status, reused.body.error]).toEqual([400, 'invalid_grant'])
    await expectEnded(connected, body.refresh_token)
    expect(await isGood(body.access_token)).toBe(false)
  })

  test('is of no use to another client, to use or to revoke', async () => {
    const { asked, accessToken, refreshToken } = await user.connect()
    const other = await flow.newClient()
    const used = await flow.refresh(other, refreshToken)
    expect([used.status, used.body.error]).toEqual([400, 'invalid_grant'])
    await flow.revoke(other, refreshToken)
    expect(await isGood(accessToken)).toBe(true)
    expect((await flow.refresh(asked.clientId, refreshToken)).status).toBe(200)
  })

  test('gets no scope and no audience that was not approved', async () => {
    const { asked, refreshToken } = await user.connect({ scope: 'usage:read' })
    const refresh = (more: Record<string, string> = {}) =>
      flow.refresh(asked.clientId, refreshToken, more)
    for (const scope of ['usage:read account', 'account', 'usage:read conversations:read']) {
      const { status, body } = await refresh({ scope })
      expect([scope, status, body.error]).toEqual([scope, 400, 'invalid_scope'])
    }
    const { body } = await refresh({ scope: 'usage:read' })
    expect((await flow.callTool(body.access_token, 'list_sessions')).status).toBe(403)
    expect((await flow.callTool(body.access_token, 'get_usage')).status).toBe(200)
    const elsewhere = { resource: 'https://elsewhere.example/mcp' }
    const aimed = await flow.refresh(asked.clientId, body.refresh_token, elsewhere)
    expect([aimed.status, aimed.body.error]).toEqual([400, 'invalid_target'])
  })
})

describe('the consent page', () => {
  test('approves nothing that another site, session or browser sent (CSRF)', async () => {
    const stranger = await signUp(app)
    const foreign = csrfTokenIn((await stranger.browser.open('/account')).html)
    const page = await user.browser.open(flow.authorization(await flow.newClient()).url)
    const { pathname } = page.url
    const own = csrfTokenIn(page.html)
    const fields = { decision: 'approve', permissions: 'usage:read', days: '1', limit: '' }
    const forgeries: [Record<string, string>, Record<string, string>][] = [
      [{}, {}],
      [{ csrf_token: foreign }, {}],
      [{ csrf_token: own }, { origin: 'https://evil.example' }],
      [{ csrf_token: own }, { origin: 'null' }],
      [{ csrf_token: own }, { 'sec-fetch-site': 'cross-site' }],
      [{ csrf_token: own }, { 'sec-fetch-site': 'same-site' }],
    ]
    for (const [token, headers] of forgeries) {
      const forged = await user.browser.post(pathname, { ...fields, ...token }, headers)
      expect([token, headers, forged.status, forged.left]).toEqual([token, headers, 403, undefined])
    }
    const elsewhere = await stranger.browser.post(pathname, { ...fields, csrf_token: foreign })
    expect([elsewhere.status, elsewhere.left]).toEqual([404, undefined])
    await user.browser.open(page.url)
    const filled = { confirmed: 'yes' }
    const { left } = await user.browser.submit(pathname, filled, { button: 'Approve' })
    expect(left?.searchParams.has('code')).toBe(true)
  })
})

describe('a client document at an address that an attacker chose', () => {
  test('is not fetched from this machine or its network (SSRF)', async () => {
    let connections = 0
    const inside = createServer((socket) => {
      connections += 1
      socket.destroy()
    })
    await new Promise<void>((resolve) => inside.listen(0, '127.0.0.1', resolve))
    const { port } = inside.address() as { port: number }
    const hosts = [
      `127.0.0.1:${port}`,
      `localhost:${port}`,
      `127.1:${port}`,
      `2130706433:${port}`,
      `0x7f.1:${port}`,
      `0:${port}`,
      `[::1]:${port}`,
      `[::ffff:127.0.0.1]:${port}`,
      `[64:ff9b::7f00:1]:${port}`,
      `[fe80::1]:${port}`,
      `[fd00::1]:${port}`,
      `10.0.0.1:${port}`,
      `192.168.0.1:${port}`,
      '169.254.169.254',
      '100.100.100.200',
    ]
    const pages = new Set<string>()
    for (const host of hosts) {
      const answer = await visit(flow.authorization(`https://${host}/client`).url)
      expect([host, answer.status, answer.headers.get('location')]).toEqual([host, 400, null])
      pages.add((await answer.text()).replace(`https://${host}/client`, 'the address'))
    }
    await new Promise((resolve) => inside.close(resolve))
    expect(connections).toBe(0)
    expect(pages.size).toBe(1)
  })

  test('is not even an address unless it is https, plain and whole', async () => {
    for (const id of [
      'http://client.example/metadata',
      'ftp://client.example/metadata',
      'file:///etc/passwd',
      'https://user:password@client.example/metadata',
      'https://client.example/../metadata',
      'https://client.example/metadata#x',
      'https://client.example\\@127.0.0.1/metadata',
    ]) {
      const answer = await visit(flow.authorization(id).url)
      expect([id, answer.status, answer.headers.get('location')]).toEqual([id, 400, null])
      expect(await answer.text()).toContain('client is invalid')
    }
  })
})

describe('a request of an odd shape', () => {
  const post = (path: string, type: string, body: string) =>
    fetch(app.baseUrl + path, { method: 'POST', headers: { 'content-type': type }, body })
  const FORM = 'application/x-www-form-urlencoded'

  test('registers nobody: bombs, other types, names that hide something', async () => {
    const good = { redirect_uris: [WEB_REDIRECT] }
    const bodies: [string, string][] = [
      [
        'application/json',
        JSON.stringify({ ...good, client_uri: `https://${'x'.repeat(60_000)}` }),
      ],
      ['application/json', `${'['.repeat(20_000)}${']'.repeat(20_000)}`],
      ['application/json', JSON.stringify([good])],
      ['application/json', 'null'],
      ['application/json', '{'],
      ['application/json', JSON.stringify({ redirect_uris: { length: 1, 0: WEB_REDIRECT } })],
      ['application/json', JSON.stringify({ ...good, client_name: 'a\u0000b' })],
      ['application/json', JSON.stringify({ ...good, client_name: 'a\u001b[2Jb' })],
      ['application/json', JSON.stringify({ ...good, client_name: 'Claude \u202emoc.live' })],
      ['application/json', JSON.stringify({ ...good, client_name: { toString: 'x' } })],
      ['application/json', JSON.stringify({ ...good, client_uri: 'javascript:alert(1)' })],
      ['text/plain', JSON.stringify(good)],
      [FORM, `redirect_uris=${WEB_REDIRECT}`],
    ]
    for (const [type, body] of bodies) {
      const answer = await post('/oauth/register', type, body)
      const text = await answer.text()
      expect([body.slice(0, 80), answer.status]).toEqual([body.slice(0, 80), 400])
      expect(text).not.toContain('client_id')
    }
  })

  test('gets no token: other methods, types, spellings, and parameters twice', async () => {
    const { asked, refreshToken } = await user.connect()
    const fields = `grant_type=refresh_token&client_id=${asked.clientId}&refresh_token=${refreshToken}`
    const json = JSON.stringify(Object.fromEntries(new URLSearchParams(fields)))
    const attempts = [
      await visit(`/oauth/token?${fields}`),
      await post(`/oauth/token?${fields}`, FORM, ''),
      await post('/oauth/token', 'application/json', json),
      await post('/oauth/token', 'text/plain', fields),
      await post('/oauth/token', FORM, `${fields}&refresh_token=x`),
      await post('/oauth/token', FORM, `${fields}&grant_type=authorization_code`),
      await post('/oauth/TOKEN', FORM, fields),
      await post('/oauth/token/', FORM, fields),
      await post('/oauth/%74oken', FORM, fields),
      await post('/oauth//token', FORM, fields),
      await fetch(`${app.baseUrl}/oauth/token`, { method: 'PUT', body: fields }),
    ]
    for (const answer of attempts) {
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(answer.status).toBeLessThan(500)
      expect(await answer.text()).not.toContain('access_token')
    }
    expect((await post('/oauth/token', FORM, fields)).status).toBe(200)
  })

  test('reaches no prototype', async () => {
    const polluted = ['__proto__', 'constructor', 'prototype']
    const body = JSON.stringify({ redirect_uris: [WEB_REDIRECT] }).replace(
      '{',
      '{"__proto__":{"isAdmin":true,"client_name":"polluted"},"constructor":{"prototype":{"isAdmin":true}},',
    )
    const registered = await (await post('/oauth/register', 'application/json', body)).json()
    expect(registered).not.toHaveProperty('client_name')
    const browser = browserOf(app)
    await browser.open('/sign-in')
    const fields = polluted.flatMap((name) => [
      `${name}[isAdmin]=true`,
      `${name}=isAdmin`,
      `username[${name}]=x`,
    ])
    const form = await post('/sign-in', FORM, fields.join('&'))
    expect(form.status).toBe(403)
    const asked = flow.authorization(await flow.newClient())
    const odd = await visit(`${asked.url}&${fields.join('&')}`)
    expect(odd.status).toBe(303)
    expect(({} as Record<string, unknown>).isAdmin).toBeUndefined()
  })

  test('is refused when its headers are too large, and many cookies confuse nobody', async () => {
    const huge = await visit('/account', { cookie: `a=${'x'.repeat(20_000)}` })
    expect(huge.status).toBe(431)
    const { name, value } = cookieOf(user.browser, 'session')
    const many = Array.from({ length: 300 }, (_, i) => `flow-${i}=${i}`).join('; ')
    const own = await visit('/account', { cookie: `${many}; ${name}=${value}` })
    expect(own.status).toBe(200)
    const twice = await visit('/account', { cookie: `${name}=planted; ${name}=${value}` })
    expect(twice.headers.get('location')).toBe('/sign-in?return_to=%2Faccount')
  })
})

describe('signing in on the page', () => {
  test('tells an unknown name from a wrong password neither by its answer nor by its work', async () => {
    const verify = vi.spyOn(Passwords.prototype, 'verify')
    const answers = new Set<string>()
    for (const username of [user.username, 'nobody-of-that-name', 'a\0b', 'x'.repeat(5000)]) {
      const browser = browserOf(app)
      await browser.open('/sign-in')
      verify.mockClear()
      const page = await browser.submit('/sign-in', { username, password: 'not this one' })
      expect([username, page.status, verify.mock.calls.length]).toEqual([username, 422, 1])
      const token = csrfTokenIn(page.html)
      const shown = page.html.replace(token, '').replace(` value="${username}"`, '')
      answers.add(shown.length > 4000 ? shown.replace(/ value="[^"]*"/, '') : shown)
    }
    expect(answers.size).toBe(1)
  })
})

describe('what was secret in all this', () => {
  let dump: Map<string, Buffer>
  let log: Map<string, Buffer>

  beforeAll(async () => {
    const connected = await user.connect()
    const { accessToken, refreshToken, callback, asked } = connected
    const owner = await browserSession(app, user.userId)
    const { token } = await personalToken(app, owner, ['usage:read'])
    const { url } = await app.app.services.keyLinks.create(owner, 'account')
    const pending = await user.browser.open(flow.authorization(await flow.newClient()).url)
    const { body: confidential } = await flow.register({ redirect_uris: [WEB_REDIRECT] })
    await flow.callTool(token, 'get_usage')
    await flow.exchange(asked, callback, { code: 'a-code-that-is-wrong' })
    await flow.refresh(asked.clientId, 'a-refresh-token-that-is-wrong')
    Object.assign(secrets, {
      accessToken: accessToken.split('.')[2],
      refreshToken,
      code: callback.searchParams.get('code'),
      verifier: asked.verifier,
      state: asked.state,
      personalToken: token,
      keyLink: new URL(url).searchParams.get('link'),
      clientSecret: confidential.client_secret,
      sessionCookie: cookieOf(user.browser, 'session').value,
      pendingRequest: pending.url.pathname.split('/').at(-1),
      formToken: csrfTokenIn(pending.html),
      password: PASSWORD,
      apiKey: user.apiKey,
      wrongCode: 'a-code-that-is-wrong',
      wrongRefreshToken: 'a-refresh-token-that-is-wrong',
    })
    await app.close()
    log = new Map([['log', Buffer.from(app.logLines.join(''))]])
    const database = await openDatabase(fresh)
    dump = await dumpTables(database.db)
    await database.close()
  })

  test('is in no table in clear', () => {
    expect(placesOf(user.username, dump)).toContain('public.users')
    expect(dump.get('public.oauth_records')?.length).toBeGreaterThan(1000)
    for (const [name, secret] of Object.entries(secrets)) {
      expect(secret.length, name).toBeGreaterThan(7)
      expect([name, placesOf(secret, dump)]).toEqual([name, []])
    }
  })

  test('is in no line of the log, at its most talkative', () => {
    expect(log.get('log')?.length).toBeGreaterThan(10_000)
    const said = { ...secrets, email: `${user.username}@example.com` }
    for (const [name, secret] of Object.entries(said)) {
      expect([name, placesOf(secret, log)]).toEqual([name, []])
    }
    expect(app.errorLines()).toEqual([])
  })
})
