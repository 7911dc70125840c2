/** What needs a token at which address, and how a request without a good one is refused. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AccessTokens, generateSigningKey, type SigningKey } from '../../../src/crypto/tokens.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestUser } from '../../support/start-app.ts'
import {
  type Answered,
  bearer,
  get,
  message,
  modern,
  post,
  postByHand,
  toolCall,
} from '../posting.ts'

const PUBLIC_URL = 'https://gateway.example'
const METADATA = `${PUBLIC_URL}/.well-known/oauth-protected-resource`
const METRICS = 'mcp://claude-api-gateway/metrics'

const initialize = message('initialize', {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'wire', version: '1.0.0' },
})

/** 401 with the challenge that makes a connector sign in (RFC 9728 section 5.1, RFC 6750 section 3). */
const SCOPES = 'conversations:read messages:send teams:read usage:read'

function expectChallenge(
  answer: Answered,
  reason: 'missing' | 'invalid',
  path: '/mcp' | '/mcp/open' = '/mcp/open',
): void {
  expect(answer).toMatchObject({
    status: 401,
    json: { jsonrpc: '2.0', error: { data: { code: 'unauthenticated' } } },
  })
  const error = reason === 'invalid' ? 'error="invalid_token", ' : ''
  expect(answer.headers.get('www-authenticate')).toBe(
    `Bearer ${error}scope="${SCOPES}", resource_metadata="${METADATA}${path}"`,
  )
}

describeDatabases('the caller at /mcp/open', (kind) => {
  let app: TestApp
  let ada: TestUser
  let bob: TestUser

  beforeAll(async () => {
    app = await startApp({ kind, env: { PUBLIC_URL } })
    ada = await app.register()
    bob = await app.register()
  })
  afterAll(() => app.close())

  describe.each([
    ['legacy', (plain: ReturnType<typeof message>) => ({ body: plain as object, headers: {} })],
    ['modern', (plain: ReturnType<typeof message>) => modern(plain)],
  ])('%s era', (era, wire) => {
    const ask = (plain: ReturnType<typeof message>, more: Record<string, string> = {}) => {
      const { body, headers } = wire(plain)
      return post(app.url, body, { ...headers, ...more })
    }

    test.each([
      era === 'legacy' ? initialize : message('server/discover'),
      message('tools/list'),
      message('resources/list'),
      message('resources/templates/list'),
      toolCall('health_check'),
    ])('$method needs no token', async (plain) => {
      const { status, json } = await ask(plain)
      expect(status).toBe(200)
      expect(json.result).toBeTruthy()
    })

    test('a newcomer registers and signs in without a token', async () => {
      const username = `new-${era}`
      const args = {
        username,
        email: `${username}@example.com`,
        anthropic_api_key: 'sk-ant-api03-x',
      }
      const registered = await ask(toolCall('register_user', args))
      const { password } = registered.json.result.structuredContent.data
      const signedIn = await ask(toolCall('authenticate_user', { username, password }))
      expect(signedIn.json.result.structuredContent.data.access_token).toBeTruthy()
    })

    test.each([
      toolCall('send_message', { message: 'hi' }),
      toolCall('get_conversations'),
      toolCall('get_conversation_history', { conversation_id: 'x' }),
      toolCall('rotate_token'),
      toolCall('revoke_token'),
      message('resources/read', { uri: METRICS }),
      message('resources/read', { uri: 'mcp://claude-api-gateway/nothing' }),
    ])('$method of $params is refused with where to sign in', async (plain) => {
      expectChallenge(await ask(plain), 'missing')
    })

    test('an empty access_token is none', async () => {
      expectChallenge(await ask(toolCall('get_conversations', { access_token: '' })), 'missing')
    })

    test('a token opens what needs one, from the header or the argument', async () => {
      const byHeader = await ask(toolCall('get_conversations'), bearer(ada.accessToken))
      const args = { access_token: ada.accessToken }
      for (const { json } of [byHeader, await ask(toolCall('get_conversations', args))]) {
        expect(json.result.structuredContent).toMatchObject({ success: true, total: 0 })
      }
      const metrics = await ask(
        message('resources/read', { uri: METRICS }),
        bearer(ada.accessToken),
      )
      expect(metrics.json.result.contents[0].uri).toBe(METRICS)
    })

    test('both at once must be one user', async () => {
      const args = { access_token: ada.accessToken }
      const same = await ask(toolCall('get_conversations', args), bearer(ada.accessToken))
      expect(same.json.result.structuredContent.success).toBe(true)
      const two = await ask(toolCall('get_conversations', args), bearer(bob.accessToken))
      expect(two.status).toBe(200)
      expect(two.json.result).toMatchObject({
        isError: true,
        structuredContent: { error: { code: 'forbidden', retryable: false } },
      })
    })

    test('a wrong access_token argument is a tool error: only its author can mend it', async () => {
      for (const headers of [{}, bearer(ada.accessToken)]) {
        const args = { access_token: 'wrong' }
        const { status, json } = await ask(toolCall('get_conversations', args), headers)
        expect(status).toBe(200)
        expect(json.result).toMatchObject({
          isError: true,
          structuredContent: { error: { code: 'unauthenticated' } },
        })
      }
    })

    test.each([
      ['of another scheme', () => `Basic ${Buffer.from('a:b').toString('base64')}`],
      ['without a token', () => 'Bearer'],
      ['that is empty', () => ''],
      ['of two words', () => `Bearer ${ada.accessToken} more`],
      ['that is nonsense', () => 'Bearer nonsense'],
      ['with a changed signature', () => `Bearer ${ada.accessToken.slice(0, -8)}AAAAAAAA`],
      ['of an Anthropic key', () => `Bearer ${ada.apiKey}`],
    ])('an Authorization header %s is 401, also for what needs none', async (_name, header) => {
      for (const plain of [message('tools/list'), toolCall('health_check')]) {
        expectChallenge(await ask(plain, { authorization: header() }), 'invalid')
      }
    })
  })

  test('a revoked token is 401 at once', async () => {
    const user = await app.register()
    const call = (tool: string) => post(app.url, toolCall(tool), bearer(user.accessToken))
    expect((await call('get_conversations')).status).toBe(200)
    await call('revoke_token')
    expectChallenge(await call('get_conversations'), 'invalid')
    expectChallenge(await call('health_check'), 'invalid')
  })

  describe('a token made by hand', () => {
    const own = () => app.app.services.signingKeys.current.all
    const ask = async (
      keys: readonly SigningKey[],
      change: { seconds?: number; audience?: string } = {},
    ) => {
      const { seconds = 300, audience = `${PUBLIC_URL}/mcp` } = change
      const tokens = new AccessTokens({ issuer: PUBLIC_URL, audience, keys })
      const expiresAt = new Date(Date.now() + seconds * 1000)
      const token = await tokens.sign({ userId: ada.userId, sessionId: sessionOf(ada), expiresAt })
      return post(app.url, toolCall('get_conversations'), bearer(token))
    }

    test('with the key of this gateway is good, so that the others differ in one thing', async () => {
      expect((await ask(own())).status).toBe(200)
    })

    test('that has expired is 401, and says so', async () => {
      const expired = await ask(own(), { seconds: -300 })
      expectChallenge(expired, 'invalid')
      expect(expired.json.error.message).toContain('expired')
    })

    test('for another audience is 401', async () => {
      expectChallenge(await ask(own(), { audience: 'https://other.example/mcp' }), 'invalid')
    })

    test('with the key of another gateway is 401', async () => {
      expectChallenge(await ask([await generateSigningKey()]), 'invalid')
    })
  })
})

const sessionOf = ({ accessToken }: TestUser): string =>
  JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString()).jti

describe('/mcp', () => {
  let app: TestApp
  let ada: TestUser
  let revoked: string
  beforeAll(async () => {
    app = await startApp({ kind: 'embedded', env: { PUBLIC_URL } })
    ada = await app.register()
    const client = await app.connect('legacy')
    revoked = (await app.register()).accessToken
    // Known as good for a while, until it ended.
    await post(app.mcpUrl, message('ping'), bearer(revoked))
    await client.call('revoke_token', { access_token: revoked })
  })
  afterAll(() => app.close())

  const JSON_BODY = { 'content-type': 'application/json' }
  const requests: [string, (headers: Record<string, string>) => Promise<Answered>][] = [
    ...[
      initialize,
      message('ping'),
      message('tools/list'),
      message('notifications/initialized'),
      toolCall('health_check'),
      toolCall('register_user', { username: 'x' }),
      toolCall('authenticate_user', { username: 'x', password: 'y' }),
      message('resources/read', { uri: METRICS }),
    ].map((plain): (typeof requests)[number] => [
      `${plain.method} ${(plain.params as { name?: string } | undefined)?.name ?? ''}`,
      (headers) => post(app.mcpUrl, plain, headers),
    ]),
    [
      'server/discover of the modern era',
      (headers) => {
        const sent = modern(message('server/discover'))
        return post(app.mcpUrl, sent.body, { ...sent.headers, ...headers })
      },
    ],
    ...['GET', 'DELETE', 'PUT', 'OPTIONS'].map((method): (typeof requests)[number] => [
      method,
      (headers) => postByHand(app.mcpUrl, message('ping'), headers, method),
    ]),
    ['a server stream', (headers) => get(app.mcpUrl, { accept: 'text/event-stream', ...headers })],
    ['no JSON', (headers) => post(app.mcpUrl, 'x', { ...headers, 'content-type': 'text/plain' })],
    ['broken JSON', (headers) => post(app.mcpUrl, '{"secret', { ...JSON_BODY, ...headers })],
    ['a batch', (headers) => post(app.mcpUrl, [message('ping')], headers)],
    ['an empty body', (headers) => post(app.mcpUrl, '', headers)],
    ['too large a body', (headers) => post(app.mcpUrl, `"${'x'.repeat(300_000)}"`, headers)],
    ['another spelling', (headers) => post(`${app.baseUrl}/MCP/`, message('ping'), headers)],
  ]

  test.each(requests)('%s is refused without a token', async (_what, send) => {
    const answer = await send({})
    expectChallenge(answer, 'missing', '/mcp')
    expect(answer.json.error.message).toContain(`${PUBLIC_URL}/account/tokens`)
    expect(answer.json.error.message).toContain(`${PUBLIC_URL}/mcp/open`)
  })

  test.each(requests)('%s is refused with one that is no good', async (_what, send) => {
    for (const token of ['nonsense', revoked, ada.apiKey]) {
      const answer = await send(bearer(token))
      expectChallenge(answer, 'invalid', '/mcp')
      expect(answer.json.error.message).toContain(`${PUBLIC_URL}/mcp/open`)
    }
  })

  test('an access_token argument is no token here', async () => {
    const call = toolCall('get_conversations', { access_token: ada.accessToken })
    expectChallenge(await post(app.mcpUrl, call), 'missing', '/mcp')
  })

  test.each([
    [200, initialize],
    [200, toolCall('health_check')],
    [200, message('resources/read', { uri: METRICS })],
    [400, [message('ping')]],
    [400, '{"broken'],
  ])('with a good one is answered %i', async (status, body) => {
    expect((await post(app.mcpUrl, body, bearer(ada.accessToken))).status).toBe(status)
  })

  test.each(['GET', 'DELETE', 'PUT'])('with a good one %s is 405', async (method) => {
    const answer = await postByHand(app.mcpUrl, {}, bearer(ada.accessToken), method)
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST'])
  })

  test.each([
    ['', '/mcp'],
    ['/mcp', '/mcp'],
    ['/mcp/open', '/mcp/open'],
  ])(
    'the resource metadata are open to all at /.well-known/oauth-protected-resource%s',
    async (path, resource) => {
      const { status, headers, json } = await get(
        `${app.baseUrl}/.well-known/oauth-protected-resource${path}`,
      )
      expect(status).toBe(200)
      expect(headers.get('access-control-allow-origin')).toBe('*')
      expect(json).toEqual({
        resource: `${PUBLIC_URL}${resource}`,
        resource_name: 'Claude API Gateway',
        authorization_servers: [PUBLIC_URL],
        scopes_supported: SCOPES.split(' '),
        bearer_methods_supported: ['header'],
      })
    },
  )
})

test('requests without a token are counted at both addresses together, before they are refused', async () => {
  const app = await startApp({ kind: 'embedded', env: { ANONYMOUS_REQUESTS_PER_MINUTE: '4' } })
  const statuses: number[] = []
  for (const url of [app.mcpUrl, app.url, app.mcpUrl, app.url, app.mcpUrl, app.url]) {
    statuses.push((await post(url, message('ping'))).status)
  }
  expect(statuses).toEqual([401, 200, 401, 200, 429, 429])
  await app.close()
})

describe('MCP_OPEN=off', () => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind: 'embedded', env: { PUBLIC_URL, MCP_OPEN: 'off' } })
  })
  afterAll(() => app.close())

  async function newToken(): Promise<string> {
    const { accounts } = app.app.services
    const account = { username: 'ada', email: 'ada@example.com', apiKey: 'sk-ant-api03-x' }
    const { password } = await accounts.register(account)
    return (await accounts.authenticate('ada', password)).accessToken
  }

  test('closes /mcp/open to everybody, and says where to go', async () => {
    const accessToken = await newToken()
    for (const headers of [{}, bearer(accessToken)]) {
      const { status, json } = await post(app.url, initialize, headers)
      expect([status, json.error.message]).toEqual([
        404,
        expect.stringContaining(`${PUBLIC_URL}/mcp:`),
      ])
    }
    expect((await post(app.mcpUrl, initialize, bearer(accessToken))).status).toBe(200)
  })

  test('nobody is sent there', async () => {
    const refused = await post(app.mcpUrl, initialize)
    expectChallenge(refused, 'missing', '/mcp')
    expect(refused.json.error.message).not.toContain('/mcp/open')
    const metadata = `${app.baseUrl}/.well-known/oauth-protected-resource/mcp/open`
    expect((await get(metadata)).status).toBe(404)
    const { text } = await get(app.mcpUrl, { accept: 'text/html' })
    expect(text).toContain(`${PUBLIC_URL}/mcp`)
    expect(text).not.toContain('/mcp/open')
  })
})
