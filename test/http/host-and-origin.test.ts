/** DNS rebinding and foreign web pages: who may reach /mcp by which name. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../support/start-app.ts'
import { message, postByHand } from './posting.ts'

let app: TestApp
beforeAll(async () => {
  app = await startApp({
    kind: 'embedded',
    env: {
      PUBLIC_URL: 'https://gateway.example',
      ALLOWED_HOSTS: 'internal.example, 10.1.2.3, https://Named.example:8443/, 2001:db8::1',
      ALLOWED_ORIGINS:
        'console.example, https://App.example, http://dev.example:5173/, moz-extension://*',
    },
  })
})
afterAll(() => app.close())

const list = (headers: Record<string, string>, method = 'POST') =>
  postByHand(app.url, message('tools/list'), headers, method)

describe('Host', () => {
  test.each([
    'localhost',
    'localhost:3000',
    '127.0.0.1:8080',
    '[::1]:3000',
    'gateway.example',
    'GATEWAY.example:443',
    'internal.example:9000',
    '10.1.2.3',
    'named.example',
    '[2001:db8::1]:3000',
  ])('%s is ours', async (host) => {
    expect(await list({ host })).toMatchObject({ status: 200, json: { id: 1 } })
  })

  test.each([
    'evil.example',
    'evil.example:3000',
    'localhost.evil.example',
    'gateway.example.evil.example',
    'evilgateway.example',
    '127.0.0.1.nip.example',
    '127.0.0.2',
    'console.example',
  ])('%o is refused, and told how it is let in', async (host) => {
    const name = host.replace(/:\d+$/, '')
    const message = expect.stringMatching(`the name ${name}\\. .*PUBLIC_URL.*ALLOWED_HOSTS`)
    expect(await list({ host })).toMatchObject({
      status: 403,
      json: { jsonrpc: '2.0', id: null, error: { code: -32000, message } },
    })
  })

  test('on the pages is told the same', async () => {
    const { status, text } = await postByHand(
      `${app.baseUrl}/sign-in`,
      undefined,
      { host: 'evil.example' },
      'GET',
    )
    expect(status).toBe(403)
    expect(text).toContain('ALLOWED_HOSTS')
  })

  test('that is no name is not repeated', async () => {
    const { status, text } = await list({ host: 'a<b>c' })
    expect(status).toBe(403)
    expect(text).not.toContain('<')
  })

  test('is looked at before anything else', async () => {
    expect((await list({ host: 'evil.example' }, 'GET')).status).toBe(403)
    const { status } = await list({ host: 'evil.example', 'content-type': 'text/plain' })
    expect(status).toBe(403)
  })

  test('does not matter to a probe, which knows an address only', async () => {
    const probe = `${app.baseUrl}/livez`
    expect((await postByHand(probe, undefined, { host: '10.9.9.9' }, 'GET')).status).toBe(200)
  })
})

describe('Origin', () => {
  test('may be absent: programs send none', async () => {
    expect((await list({})).status).toBe(200)
  })

  test.each([
    'http://localhost:5173',
    'http://127.0.0.1:6274',
    'http://[::1]:80',
    'https://gateway.example',
    'https://console.example:8443',
    'https://app.example',
    'http://dev.example:5173',
    'moz-extension://0d6a1c2f-6d2e-4b3b-9d3f-1a2b3c4d5e6f',
  ])('%s may call', async (origin) => {
    expect((await list({ origin })).status).toBe(200)
  })

  test.each([
    'https://evil.example',
    'https://console.example.evil.example',
    'https://evil.example/gateway.example',
    'https://internal.example',
    'http://app.example',
    'https://app.example:8443',
    'https://www.app.example',
    'https://dev.example',
    'chrome-extension://abcdefghijklmnop',
    'gateway.example',
    'nonsense',
  ])('%s may not, and is told how it may', async (origin) => {
    const message = expect.stringMatching(`adds ${origin} to ALLOWED_ORIGINS`)
    expect(await list({ origin })).toMatchObject({
      status: 403,
      json: { jsonrpc: '2.0', id: null, error: { code: -32000, message } },
    })
  })

  test('null, of a page that has none, is never let in', async () => {
    const { status, json } = await list({ origin: 'null' })
    expect(status).toBe(403)
    expect(json.error.message).toMatch(/without an origin of their own/)
  })
})

describe('a web page', () => {
  const origin = 'https://console.example'

  test('may ask before, and read the answer', async () => {
    const wanted = 'authorization,content-type,mcp-protocol-version,mcp-method,mcp-name'
    const headers = {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': wanted,
    }
    const preflight = await list(headers, 'OPTIONS')
    expect(preflight).toMatchObject({ status: 204, text: '' })
    expect(preflight.headers.get('access-control-allow-origin')).toBe(origin)
    expect(preflight.headers.get('access-control-allow-methods')).toBe('POST')
    const allowed = preflight.headers.get('access-control-allow-headers')?.toLowerCase().split(', ')
    expect(allowed).toEqual(expect.arrayContaining(wanted.split(',')))

    const answer = await list({ origin })
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
    expect(answer.headers.get('vary')).toContain('Origin')
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
  })

  test('sees why it was refused', async () => {
    const { status, headers } = await list({ origin, authorization: 'Bearer wrong' })
    expect(status).toBe(401)
    expect(headers.get('access-control-allow-origin')).toBe(origin)
    expect(headers.get('access-control-expose-headers')).toContain('WWW-Authenticate')
  })

  test('of another origin may not even ask', async () => {
    const { status, headers } = await list({ origin: 'https://evil.example' }, 'OPTIONS')
    expect(status).toBe(403)
    expect(headers.get('access-control-allow-origin')).toBeNull()
  })

  test('is what OPTIONS is for: without an Origin it is 405', async () => {
    expect((await list({}, 'OPTIONS')).status).toBe(405)
  })
})
