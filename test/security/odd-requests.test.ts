/**
 * Requests that no client of ours makes, to every address there is: each is refused with a reason in
 * the form that its sender reads, and none is a fault of the gateway's own.
 */

import { type IncomingHttpHeaders, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { personalToken, proofOf, signUp } from '../support/signed-up.ts'
import { startApp, type TestApp } from '../support/start-app.ts'

type Odd = { method?: string; headers?: Record<string, string | string[]>; body?: string | Buffer }
type Answer = { status: number; headers: IncomingHttpHeaders; body: string }

let app: TestApp
let cookie: string
let token: string

beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { METRICS: 'loopback' } })
  const { caller } = await signUp(app)
  token = (await personalToken(app, caller)).token
  const inAnHour = new Date(Date.now() + 3_600_000)
  const { sessions } = app.app.services
  cookie = `session=${await sessions.beginBrowserSession(await proofOf(app, caller.userId), inAnHour)}`
})
afterAll(() => app.close())

/** `target` goes on the wire as it is. */
function ask(target: string, { method = 'GET', headers = {}, body }: Odd = {}): Promise<Answer> {
  const { hostname, port } = new URL(app.baseUrl)
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path: target, method, headers }, async (res) => {
      const { statusCode: status = 0, headers: answered } = res
      resolve({ status, headers: answered, body: await text(res) })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** All at once, which is quicker, and no less odd. */
async function tryAll(odd: readonly (Odd & { target: string })[]): Promise<void> {
  const before = app.errorLines().length
  const answers = await Promise.all(odd.map(({ target, ...request }) => ask(target, request)))
  for (const [i, answer] of answers.entries()) expectRefusedOrServed(answer, odd[i])
  expect(app.errorLines().slice(before)).toEqual([])
}

/** A fault would be 500, and in the log. */
function expectRefusedOrServed(answer: Answer, { method = 'GET', headers = {} }: Odd = {}): void {
  expect(answer.status).toBeLessThan(500)
  if (answer.status < 400 || method === 'HEAD') return
  const type = String(answer.headers['content-type'])
  expect(answer.body.length).toBeGreaterThan(10)
  expect(type).toMatch(/^(?:application\/json|text\/html|text\/plain)/)
  const isPerson = headers.accept === 'text/html'
  if (!isPerson && type.startsWith('application/json')) expect(JSON.parse(answer.body)).toBeTruthy()
}

const UID = 'abcdefghijklmnopqrst'
const PATHS = [
  '/',
  '/mcp',
  '/MCP',
  '/mcp/',
  '/mcp/open',
  '/MCP/Open/',
  '/mcp/server-card',
  '/livez',
  '/readyz',
  '/health',
  '/metrics',
  '/favicon.ico',
  '/.well-known/oauth-protected-resource',
  '/.well-known/oauth-protected-resource/mcp',
  '/.well-known/oauth-protected-resource/mcp/open',
  '/.well-known/oauth-authorization-server',
  '/.well-known/openid-configuration',
  '/.well-known/ai-catalog.json',
  '/oauth/authorize',
  `/oauth/authorize/${UID}`,
  '/oauth/token',
  '/oauth/register',
  '/oauth/revoke',
  '/oauth/jwks',
  '/sign-in',
  '/sign-up',
  '/sign-out',
  '/account',
  '/account/key',
  '/account/key/remove',
  '/account/tokens',
  `/account/tokens/${UID}/end`,
  '/account/connections',
  `/account/connections/${UID}/end`,
  '/account/usage',
  '/account/password',
  '/account/data',
  '/account/delete',
  '/account/export',
  `/connect/${UID}`,
  '/nowhere',
]

const ACCEPTED = ['application/json', 'text/html', '*/*', 'nonsense', '']

describe.each(PATHS)('%s', (path) => {
  test('takes no odd method amiss', async () => {
    const methods = ['HEAD', 'OPTIONS', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND']
    await tryAll(methods.map((method) => ({ target: path, method })))
  })

  test('takes no odd query amiss', async () => {
    const queries = [
      'client_id=x',
      'client_id=x&client_id=y',
      'client_id[]=x&client_id[a]=y&a[b][c]=d',
      'client_id=https%3A%2F%2Fx.invalid%2F&redirect_uri=%00',
      '__proto__=x&constructor=y&toString=z',
      'return_to=%ff&done=%ff&link=%E0%A4%A',
      'link=a&link=b&return_to=a&return_to=b&done=a&done=b&key=a&key=b',
      `a=${'b'.repeat(8_000)}`,
      '%',
      '&&&===',
      'state=%0d%0aSet-Cookie:a=b&code=%00&iss=%ff',
    ]
    const kinds = ['application/json', 'text/html']
    await tryAll(
      queries.flatMap((query) =>
        kinds.map((accept) => ({ target: `${path}?${query}`, headers: { accept, cookie } })),
      ),
    )
  })

  test('takes no odd spelling amiss', async () => {
    const spellings = [
      `${path}%ff`,
      `${path}/%00`,
      `${path}/%c0%ae%c0%ae/`,
      `${path}/..%2f..%2f`,
      `${path}/%`,
      `${path}//`,
      `/${path}`,
      `http://elsewhere.example${path}`,
      `${path}/${'x'.repeat(8_000)}`,
      path.toUpperCase(),
    ]
    await tryAll(
      spellings.map((target, i) => ({
        target,
        headers: { accept: ACCEPTED[i % ACCEPTED.length] ?? '', cookie },
      })),
    )
  })

  test('takes no odd body amiss', async () => {
    const deep = '['.repeat(20_000) + ']'.repeat(20_000)
    const bodies: [string, string | Buffer][] = [
      ['application/json', '{"a":'],
      ['application/json', deep],
      ['application/json', 'null'],
      ['application/json', `{"redirect_uris":${'['.repeat(9_000)}${']'.repeat(9_000)}}`],
      [
        'application/json',
        `{"redirect_uris":["https://a.example"],"contacts":${deep.slice(11_000, -11_000)}}`,
      ],
      [
        'application/json',
        `{"redirect_uris":["https://a.example"],"client_name":{"a":"b"},"scope":7}`,
      ],
      ['application/json', '{"redirect_uris":["\\u0000"],"client_name":"\\u0000"}'],
      [
        'application/json',
        '{"redirect_uris":[{"a":1},null,7,"%"],"grant_types":"x","contacts":[{}]}',
      ],
      ['application/x-www-form-urlencoded', 'a[b]=c&a[b]=d&username=x&username=y&password[]=z'],
      ['application/x-www-form-urlencoded', 'username=%ff%fe&password=%00&%=%'],
      [
        'application/x-www-form-urlencoded',
        'grant_type=refresh_token&refresh_token=%00&client_id=%00',
      ],
      [
        'application/x-www-form-urlencoded',
        'grant_type=authorization_code&code=%00&client_id=a&client_id=b',
      ],
      ['application/x-www-form-urlencoded', `token=${'x'.repeat(20_000)}&client_id=%F0%9F`],
      ['application/x-www-form-urlencoded', 'a&'.repeat(100)],
      ['application/x-www-form-urlencoded', '__proto__=x&csrf_token=y&decision=approve'],
      ['application/x-www-form-urlencoded; charset=utf-7', 'a=b'],
      ['multipart/form-data; boundary=x', '--x\r\n\r\na\r\n--x--'],
      ['text/plain', 'a=b'],
      ['nonsense', 'a=b'],
      ['', Buffer.from([0xff, 0xfe, 0])],
    ]
    await tryAll(
      bodies.map(([type, body], i) => ({
        target: path,
        method: 'POST',
        headers: { 'content-type': type, accept: ACCEPTED[i % 2] ?? '', cookie },
        body,
      })),
    )
  })

  test('takes no odd header amiss', async () => {
    const many: Record<string, string>[] = [
      { cookie: `${'a=b; '.repeat(1000)}${cookie}` },
      { cookie: 'session=%ff; csrf=%; flow-abcdefgh=x; =; ;;' },
      { authorization: 'Bearer' },
      { authorization: `Bearer ${'x'.repeat(8_000)}` },
      { authorization: 'Basic %%%' },
      { authorization: 'Basic OmE6Yg==' },
      { authorization: 'Basic //8=' },
      { 'content-encoding': 'gzip' },
      { 'content-type': 'application/json; charset=\u00e9'.replace('\u00e9', 'x') },
      { origin: 'null' },
      { origin: '%' },
      { host: '%' },
      { host: '' },
      { 'x-forwarded-for': '%', 'x-forwarded-proto': 'a,b', 'x-forwarded-host': '%' },
      { 'accept-language': '%'.repeat(4000), 'user-agent': '\u00ff' },
      { 'mcp-protocol-version': 'x'.repeat(4000), 'mcp-method': '%', 'mcp-name': '%' },
      { 'if-none-match': '%', 'if-modified-since': '%', range: 'bytes=9-1' },
      { 'sec-fetch-site': 'nonsense' },
    ]
    const methods = ['GET', 'POST']
    await tryAll(
      many.flatMap((odd) =>
        methods.map((method) => ({
          target: path,
          method,
          headers: { accept: 'application/json', ...odd },
        })),
      ),
    )
  })
})

describe('the MCP endpoint', () => {
  const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  const KEYS = {
    version: '"io.modelcontextprotocol/protocolVersion":"2026-07-28"',
    client: '"io.modelcontextprotocol/clientInfo":{"name":"a","version":"1"}',
    capabilities: '"io.modelcontextprotocol/clientCapabilities":',
  }
  const initialize = (capabilities: string) =>
    `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":${capabilities},"clientInfo":{"name":"a","version":"1"}}}`
  const modern = (capabilities: string, method = 'tools/call') =>
    `{"jsonrpc":"2.0","id":1,"method":"${method}","params":{"name":"claude-api-gateway_health_check","arguments":{},"_meta":{${KEYS.version},${KEYS.client},${KEYS.capabilities}${capabilities}}}}`
  const headersOf = (body: string) =>
    body.includes('2026-07-28')
      ? {
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': String(JSON.parse(body).method),
          'mcp-name': 'claude-api-gateway_health_check',
        }
      : {}

  test.each([100, 250, 3_000])('takes nothing nested %i deep amiss', async (depth) => {
    const bodies = [
      initialize(nested(depth)),
      initialize(`{"experimental":${nested(depth)}}`),
      modern(nested(depth)),
      modern(`{"experimental":${nested(depth)}}`),
      modern(nested(depth), 'tools/list'),
      modern(nested(depth), 'server/discover'),
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"x":${nested(depth)}}}}`,
      `{"jsonrpc":"2.0","id":${nested(depth)},"method":"ping"}`,
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"claude-api-gateway_send_message","arguments":${nested(depth)}}}`,
    ]
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
    const accepted = ['application/json, text/event-stream', 'text/html']
    await tryAll(
      bodies.flatMap((body) =>
        accepted.map((accept, i) => ({
          target: i === 0 ? '/mcp' : '/MCP/Open',
          method: 'POST',
          headers: { ...headers, accept, ...headersOf(body) },
          body,
        })),
      ),
    )
  })

  test.each(['/mcp/open', '/MCP/OPEN', '/Mcp/open/'])(
    'broken JSON to %s is 400 in JSON',
    async (path) => {
      for (const accept of ACCEPTED) {
        const headers = { 'content-type': 'application/json', accept }
        const answer = await ask(path, { method: 'POST', headers, body: '{"a":' })
        expect(answer.status).toBe(400)
        expect(JSON.parse(answer.body)).toMatchObject({ jsonrpc: '2.0', error: { code: -32700 } })
      }
    },
  )
})

describe('an authorization that was never begun', () => {
  test.each([
    ['of nobody', () => 'x'],
    ['of a client that registered', registeredClient],
  ])('is refused to its reader, %s, and counted', async (_name, clientId) => {
    const target = `/oauth/authorize/${UID}?client_id=${await clientId()}`
    const answer = await ask(target, { headers: { accept: 'text/html' } })
    expect(answer.status).toBe(400)
    expect(answer.headers['content-type']).toMatch(/^text\/html/)
    expect(answer.headers.ratelimit).toMatch(/^"oauth"; r=\d+/)
  })

  test('counts for all of them together', async () => {
    const left = async (uid: string) => {
      const { headers } = await ask(`/oauth/authorize/${uid}`)
      return Number(/r=(\d+)/.exec(String(headers.ratelimit))?.[1])
    }
    const first = await left('a'.repeat(20))
    expect(await left('b'.repeat(20))).toBe(first - 1)
  })

  async function registeredClient() {
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ redirect_uris: ['https://client.example/back'] })
    const answer = await ask('/oauth/register', { method: 'POST', headers, body })
    return String(JSON.parse(answer.body).client_id)
  }
})
