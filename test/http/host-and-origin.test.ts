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
      ALLOWED_HOSTS: 'internal.example, 10.1.2.3',
      ALLOWED_ORIGINS: 'console.example',
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
  ])('%o is refused', async (host) => {
    expect(await list({ host })).toMatchObject({
      status: 403,
      json: { jsonrpc: '2.0', id: null, error: { code: -32000 } },
    })
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
  ])('%s may call', async (origin) => {
    expect((await list({ origin })).status).toBe(200)
  })

  test.each([
    'https://evil.example',
    'https://console.example.evil.example',
    'https://evil.example/gateway.example',
    'https://internal.example',
    'null',
    'gateway.example',
    'nonsense',
  ])('%s may not', async (origin) => {
    expect(await list({ origin })).toMatchObject({
      status: 403,
      json: { jsonrpc: '2.0', id: null, error: { code: -32000 } },
    })
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
