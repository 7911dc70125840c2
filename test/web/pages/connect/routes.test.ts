/** The consent page, by a client that registered itself. */

import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  CONNECTION_SCOPES,
  DEFAULT_SCOPES,
  SCOPES,
} from '../../../../src/services/access/scopes.ts'
import { EMPTY_FORM } from '../../../../src/web/kit/form.ts'
import { html } from '../../../../src/web/kit/html.ts'
import { consentPage } from '../../../../src/web/pages/connect/view.ts'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { browserOf, cookieOf, PASSWORD, signUp, type Visitor } from '../visiting.ts'

const OWN = 'https://gateway.example'
const CALLBACK = 'https://client.example/callback'
const ALL = 'conversations:read messages:send usage:read account'

let app: TestApp
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: OWN } })
})
afterAll(() => app.close())

/** The address at which a client asks for access. */
async function askingFrom(redirectUri: string, { name = 'A client', scope = ALL } = {}) {
  const response = await fetch(new URL('/oauth/register', app.baseUrl), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: name,
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    }),
  })
  const { client_id } = (await response.json()) as { client_id: string }
  const challenge = createHash('sha256').update(randomBytes(32)).digest('base64url')
  const params = new URLSearchParams({
    client_id,
    response_type: 'code',
    redirect_uri: redirectUri,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    state: 'a-state',
    resource: `${OWN}/mcp`,
    scope,
  })
  return `/oauth/authorize?${params}`
}

async function withKey(visitor: Visitor): Promise<Visitor> {
  await visitor.browser.open('/account/key')
  await visitor.browser.submit('/account/key', { key: 'sk-ant-api03-connect-1234' })
  return visitor
}

async function connectionsOf({ browser }: Visitor) {
  const { sessions } = app.app.services
  const caller = await sessions.findBrowserSession(cookieOf(browser, 'session').value)
  if (!caller) throw new Error('not signed in')
  const rows = await sessions.list(caller)
  return rows.filter(({ kind }) => kind === 'connection')
}

test('from nothing: sign up, skip the key, approve, and back to the client with a code', async () => {
  const browser = browserOf(app)
  const entrance = await browser.open(await askingFrom(CALLBACK))
  expect(entrance.url.pathname).toBe('/sign-in')
  expect(entrance.text).toContain('An app would like to connect.')
  const link = /href="(\/sign-up[^"]*)"/.exec(entrance.html)?.[1]?.replaceAll('&amp;', '&') ?? ''
  await browser.open(link)
  const username = `Ada-${randomBytes(5).toString('hex')}`
  const email = `${username}@example.com`
  const key = await browser.submit('/sign-up', { username, email, password: PASSWORD })
  expect(key.url.pathname).toBe('/account/key')
  const skip = /href="(\/connect\/[^"]*)"/.exec(key.html)?.[1] ?? ''
  const consent = await browser.open(skip)
  expect(consent.text).toContain('You have not added an Anthropic key yet')
  const { left } = await browser.submit(
    consent.url.pathname,
    { confirmed: 'yes' },
    { button: 'Approve' },
  )
  expect(`${left?.origin}${left?.pathname}`).toBe(CALLBACK)
  expect(left?.searchParams.get('code')).toBeTruthy()
  expect(left?.searchParams.get('state')).toBe('a-state')
  expect(left?.searchParams.get('iss')).toBe(OWN)
})

test('the key that is entered on the way leads on to the consent page', async () => {
  const { browser } = await signUp(app)
  const key = await browser.open(await askingFrom(CALLBACK))
  expect(key.url.pathname).toBe('/account/key')
  const consent = await browser.submit('/account/key', { key: 'sk-ant-api03-on-the-way' })
  expect(consent.url.pathname).toMatch(/^\/connect\//)
  expect(consent.text).not.toContain('You have not added')
})

test('says who asks, for what, and where it will be sent back', async () => {
  const { browser, username } = await withKey(await signUp(app))
  const hostile = '<script>alert(1)</script>"'
  const page = await browser.open(await askingFrom(CALLBACK, { name: hostile }))
  expect(page.text).toContain(`Connect ${hostile} ?`)
  expect(page.html).not.toContain('<script>')
  expect(page.text).toContain('Name not verified')
  expect(page.text).toContain('You will be sent back to client.example')
  expect(page.text).toContain(`Signed in as ${username}`)
  for (const scope of ALL.split(' ')) expect(page.text).toContain(scope)
  const [, form] = browser.forms()
  expect(form?.fields).toEqual(
    expect.arrayContaining([
      ['days', '30'],
      ['limit', ''],
    ]),
  )
})

test.each([
  [CALLBACK, 'client.example', 'https://client.example'],
  ['http://127.0.0.1:8123/cb', '127.0.0.1:8123 An app on this computer.', 'http://127.0.0.1:8123'],
  ['http://localhost:8123/cb', 'localhost:8123 An app on this computer.', 'http://localhost:8123'],
  ['http://[::1]:8123/cb', '[::1]:8123 An app on this computer.', 'http:'],
  ['cursor://anysphere.cursor-mcp/oauth/callback', 'cursor:// The app on this device', 'cursor:'],
])('sent back to %s: shown, and allowed by form-action', async (redirectUri, shown, allowed) => {
  const { browser } = await withKey(await signUp(app))
  const page = await browser.open(await askingFrom(redirectUri))
  expect(page.text).toContain(`You will be sent back to ${shown}`)
  const policy = page.headers.get('content-security-policy') ?? ''
  expect(policy).toContain(`form-action 'self' ${allowed};`)
  expect(policy).toContain("frame-ancestors 'none'")
  expect(page.headers.get('x-frame-options')).toBe('DENY')
  const { left } = await browser.submit(page.url.pathname, {}, { button: 'Deny' })
  expect(left?.href.startsWith(redirectUri)).toBe(true)
  expect(left?.searchParams.get('error')).toBe('access_denied')
})

describe('the decision', () => {
  test('holds for the permissions, the end and the limit that were chosen', async () => {
    const visitor = await withKey(await signUp(app))
    const page = await visitor.browser.open(await askingFrom(CALLBACK, { name: 'Careful' }))
    const chosen = { permissions: ['conversations:read'], days: '7', limit: '7,50' }
    const before = Date.now()
    const { left } = await visitor.browser.submit(page.url.pathname, chosen, { button: 'Approve' })
    expect(left?.searchParams.has('code')).toBe(true)
    const [connection] = await connectionsOf(visitor)
    expect(connection).toMatchObject({
      name: 'Careful',
      scopes: ['conversations:read'],
      limitNanoUsd: 7_500_000_000n,
    })
    const days = ((connection?.expiresAt.getTime() ?? 0) - before) / 86_400_000
    expect(days).toBeGreaterThanOrEqual(7)
    expect(days).toBeLessThan(7.01)
    const list = await visitor.browser.open('/account/connections')
    expect(list.text).toContain('Careful')
    expect(list.text).toContain('$0.00 of $7.50 this month')
  })

  test.each([
    [{ limit: 'lots' }, 'limit'],
    [{ limit: '-1' }, 'limit'],
    [{ limit: '1e3' }, 'limit'],
    [{ permissions: [] }, 'permissions'],
    [{ permissions: ['admin'] }, 'permissions'],
    [{ days: '100000' }, 'days'],
  ])('%j is refused beside its field, and nothing is approved', async (filled, field) => {
    const visitor = await withKey(await signUp(app))
    const page = await visitor.browser.open(await askingFrom(CALLBACK))
    const path = page.url.pathname
    const refused = await visitor.browser.submit(path, filled, { button: 'Approve' })
    expect(refused.status).toBe(422)
    expect(refused.html).toContain(`#field-${field}`)
    expect(refused.headers.get('content-security-policy')).toContain('https://client.example;')
    expect(await connectionsOf(visitor)).toEqual([])
    const { left } = await visitor.browser.submit(
      path,
      { limit: '', days: '1', permissions: ['usage:read'] },
      { button: 'Approve' },
    )
    expect(left?.searchParams.has('code')).toBe(true)
  })

  test('takes a box that nobody ticked beforehand where it gives more than reading', async () => {
    const visitor = await withKey(await signUp(app))
    const page = await visitor.browser.open(await askingFrom(CALLBACK))
    const path = page.url.pathname
    const offered = visitor.browser.forms()[1]?.fields ?? []
    const ticked = offered.filter(([name]) => name === 'permissions').map(([, value]) => value)
    expect(ticked).toEqual(['conversations:read', 'messages:send', 'usage:read'])
    expect(offered.map(([name]) => name)).not.toContain('confirmed')
    for (const permissions of [
      undefined,
      ['messages:send'],
      ['account'],
      ['account', 'usage:read'],
    ]) {
      const filled = permissions ? { permissions } : {}
      for (const box of [
        {},
        { confirmed: '' },
        { confirmed: 'no' },
        { confirmed: ['yes', 'yes'] },
      ]) {
        // Again and again, on the page that says what is missing: two clicks on one spot get nowhere.
        const refused = await visitor.browser.submit(
          path,
          { ...filled, ...box },
          { button: 'Approve' },
        )
        expect(refused.status).toBe(422)
        expect(refused.html).toContain('#field-confirmed')
        expect(refused.html).not.toMatch(/name="confirmed"[^>]* checked/)
      }
    }
    expect(await connectionsOf(visitor)).toEqual([])
    const { left } = await visitor.browser.submit(path, { confirmed: 'yes' }, { button: 'Approve' })
    expect(left?.searchParams.has('code')).toBe(true)
  })

  test('ticks nothing beforehand that a client is not offered unasked', async () => {
    const visitor = await withKey(await signUp(app))
    const scope = CONNECTION_SCOPES.join(' ')
    await visitor.browser.open(await askingFrom(CALLBACK, { scope }))
    const offered = visitor.browser.page.html.matchAll(
      /name="permissions" value="([^"]+)"[^>]*?( checked)?>/g,
    )
    const boxes = [...offered].map(([, value, checked]) => [value, checked !== undefined])
    expect(boxes).toEqual(CONNECTION_SCOPES.map((one) => [one, DEFAULT_SCOPES.includes(one)]))
    const left = boxes.filter(([, isTicked]) => !isTicked).map(([scope]) => scope)
    expect(left).toEqual(
      expect.arrayContaining(['conversations:write', 'conversations:share', 'account']),
    )
    expect(visitor.browser.page.text).toContain(SCOPES['conversations:write'])
    expect(SCOPES['conversations:write']).toContain('import')
  })

  test('to read alone takes no box of its own', async () => {
    const visitor = await withKey(await signUp(app))
    const scope = 'conversations:read usage:read'
    const page = await visitor.browser.open(await askingFrom(CALLBACK, { scope }))
    expect(page.html).not.toContain('name="confirmed"')
    const { left } = await visitor.browser.submit(page.url.pathname, {}, { button: 'Approve' })
    expect(left?.searchParams.has('code')).toBe(true)
  })

  test('sent twice at once makes one connection', async () => {
    const visitor = await withKey(await signUp(app))
    const page = await visitor.browser.open(await askingFrom(CALLBACK))
    const chosen = { permissions: ['usage:read'], days: '1', limit: '' }
    const tabs = [1, 2, 3].map(() => visitor.browser.clone())
    for (const tab of tabs) await tab.open(page.url.pathname)
    const answers = await Promise.all(
      tabs.map((tab) => tab.submit(page.url.pathname, chosen, { button: 'Approve' })),
    )
    expect(answers.filter(({ left }) => left?.searchParams.has('code'))).toHaveLength(1)
    expect(await connectionsOf(visitor)).toHaveLength(1)
  })

  test('never gives more than was asked for', async () => {
    const visitor = await withKey(await signUp(app))
    const page = await visitor.browser.open(await askingFrom(CALLBACK, { scope: 'usage:read' }))
    const wanted = { permissions: ['usage:read', 'account'], confirmed: 'yes' }
    await visitor.browser.submit(page.url.pathname, wanted, { button: 'Approve' })
    expect((await connectionsOf(visitor))[0]?.scopes).toEqual(['usage:read'])
  })

  test('is denied when no button is named, and refused without our token (CSRF)', async () => {
    const visitor = await withKey(await signUp(app))
    const page = await visitor.browser.open(await askingFrom(CALLBACK))
    const fields = { decision: 'approve', permissions: 'account', days: '365', limit: '' }
    const forged = await visitor.browser.post(page.url.pathname, fields, { origin: OWN })
    expect(forged.status).toBe(403)
    expect(await connectionsOf(visitor)).toEqual([])
    await visitor.browser.open(page.url)
    const { left } = await visitor.browser.submit(page.url.pathname)
    expect(left?.searchParams.get('error')).toBe('access_denied')
  })
})

/** Each hides, blanks, stacks or breaks something. */
const ODD_NAMES: [string, string][] = [
  ['Claude\u200b\u2060\ufeff Code', 'Claude Code'],
  ['Claude\u3164\u115f\uffa0\u034f', 'Claude'],
  ['\u2800\u2800Claude\u2028Code\u2029', 'Claude Code'],
  ['Cla\u00adude\u{e0061}\ufe0f\u180e', 'Claude'],
  ['C\u0336\u0337\u0338l\u0300\u0301\u0302\u20ddaude', 'C\u0336l\u0300aude'],
  [`Claude${'\u0e49'.repeat(40)}`, `Claude${'\u0e49'.repeat(2)}`],
  ['\u0301\u0302Claude \u0300Code', 'Claude Code'],
  ['\u00a0\u2003Claude\u3000\u3000Code ', 'Claude Code'],
  ['\ud800Claude\udfff', 'Claude'],
  ['Claude\ue000\u{10ffff}', 'Claude'],
  ['\u200b\u3164\u2800', 'client.example'],
  ['...\u200b', 'client.example'],
  ['   ', 'client.example'],
]

test.each(ODD_NAMES)('a client named %j is shown as %j, everywhere', async (name, shown) => {
  const visitor = await withKey(await signUp(app))
  const page = await visitor.browser.open(await askingFrom(CALLBACK, { name }))
  expect(page.html).toContain(`<h1>Connect <bdi>${shown.normalize('NFC')}</bdi>?</h1>`)
  const filled = { confirmed: 'yes' }
  await visitor.browser.submit(page.url.pathname, filled, { button: 'Approve' })
  const [connection] = await connectionsOf(visitor)
  expect(connection?.name).toBe(shown.normalize('NFC'))
  // As an older build may have stored it.
  await app.app.db
    .updateTable('sessions')
    .set({ name: name.replace(/[\ud800-\udfff]/g, '') })
    .where('id', '=', connection?.id ?? '')
    .execute()
  const list = await visitor.browser.open('/account/connections')
  const later = shown === 'client.example' ? 'App' : shown.normalize('NFC')
  expect(list.html).toContain(`<h3><bdi>${later}</bdi>`)
})

test('a name is never longer than a line', async () => {
  const { browser } = await withKey(await signUp(app))
  const page = await browser.open(await askingFrom(CALLBACK, { name: '\u{1f600}x'.repeat(60) }))
  const [, shown = ''] = /<h1>Connect <bdi>(.*)<\/bdi>/.exec(page.html) ?? []
  expect([...shown]).toHaveLength(100)
  expect(shown.isWellFormed()).toBe(true)
  expect(shown.endsWith('…')).toBe(true)
})

test('"Not you?" signs out, and leads another user back to the same request', async () => {
  const [first, second] = [await withKey(await signUp(app)), await withKey(await signUp(app))]
  const { browser } = first
  const page = await browser.open(await askingFrom(CALLBACK))
  const out = await browser.submit('/sign-out', { return_to: page.url.pathname })
  expect(out.url.pathname).toBe('/sign-in')
  const { username } = second
  const again = await browser.submit('/sign-in', { username, password: PASSWORD })
  expect(again.url.pathname).toBe(page.url.pathname)
  expect(again.text).toContain(`Signed in as ${username}`)
})

test("another browser's request is none of ours (login CSRF, mix-up)", async () => {
  const [mine, theirs] = [await withKey(await signUp(app)), await withKey(await signUp(app))]
  const page = await theirs.browser.open(await askingFrom(CALLBACK))
  const stolen = await mine.browser.open(page.url)
  expect(stolen.status).toBe(404)
  expect(stolen.text).toContain('has expired')
  expect(await connectionsOf(mine)).toEqual([])
})

/** What a client whose document is at claude.ai is shown as. */
const documented = (redirectUri: string) =>
  consentPage({
    csrfField: html``,
    path: '/connect/x',
    client: { id: 'https://claude.ai/oauth/metadata?of=<it>', name: 'Claude', isDocument: true },
    redirectUri,
    asked: ['usage:read'],
    chosen: ['usage:read'],
    username: 'ada',
    hasKey: true,
    purses: [],
    existing: undefined,
    form: EMPTY_FORM,
  }).body.toString()

test('a client with a document is told apart by its site, with the whole address', () => {
  const body = documented('https://claude.ai/callback')
  expect(body).toContain('Identified by claude.ai')
  expect(body).toContain('https://claude.ai/oauth/metadata?of=&lt;it&gt;')
  expect(body).not.toContain('not verified')
  expect(body).not.toMatch(/class="tag good"|notice warn/)
})

test.each([
  ['https://elsewhere.example/callback', 'another site than claude.ai'],
  ['https://claude.ai:8443/callback', 'another site than claude.ai'],
  ['http://localhost:1/callback', 'any app can say'],
  ['com.example.app:/callback', 'any app can say'],
])('and its visitor is warned when it has the browser sent to %s', (redirectUri, warning) => {
  expect(documented(redirectUri)).toContain(warning)
  expect(documented(redirectUri)).toMatch(/class="notice warn"/)
})
