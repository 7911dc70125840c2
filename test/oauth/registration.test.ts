/** Clients that register themselves, with the bodies that they really send, and what metadata they read before. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startOAuthApp } from '../support/oauth-app.ts'
import { createFlow, LOOPBACK_REDIRECT, type OAuthFlow } from '../support/oauth-flow.ts'
import type { TestApp } from '../support/start-app.ts'

const DEFAULT_SCOPES = ['conversations:read', 'messages:send', 'teams:read', 'usage:read']
const BOTH_GRANTS = ['authorization_code', 'refresh_token']
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code'
const PUBLIC = {
  grant_types: BOTH_GRANTS,
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
}

const CLAUDE_AI = {
  ...PUBLIC,
  client_name: 'Claude',
  redirect_uris: ['https://claude.ai/api/mcp/auth_callback'],
  scope: DEFAULT_SCOPES.join(' '),
}
const CLAUDE_CODE = {
  ...PUBLIC,
  client_name: 'Claude Code (gateway)',
  redirect_uris: ['http://localhost:54212/callback'],
}
const VS_CODE = {
  ...PUBLIC,
  client_name: 'Visual Studio Code',
  client_uri: 'https://code.visualstudio.com',
  grant_types: [...BOTH_GRANTS, DEVICE],
  redirect_uris: [
    'https://insiders.vscode.dev/redirect',
    'https://vscode.dev/redirect',
    'http://127.0.0.1/',
    'http://127.0.0.1:33418/',
  ],
  application_type: 'native',
}
const CURSOR = {
  ...PUBLIC,
  client_name: 'Cursor',
  redirect_uris: ['cursor://anysphere.cursor-mcp/oauth/callback'],
}
const INSPECTOR = {
  ...PUBLIC,
  client_name: 'MCP Inspector',
  client_uri: 'https://github.com/modelcontextprotocol/inspector',
  redirect_uris: ['http://localhost:6274/oauth/callback', 'http://127.0.0.1:6276/oauth/callback'],
  scope: 'conversations:read',
}
const CHATGPT = {
  client_name: 'ChatGPT',
  redirect_uris: ['https://chatgpt.com/connector_platform_oauth_redirect'],
  grant_types: BOTH_GRANTS,
  response_types: ['code'],
  token_endpoint_auth_method: 'client_secret_post',
}

let app: TestApp
let flow: OAuthFlow
beforeAll(async () => {
  app = await startOAuthApp({ kind: 'embedded' })
  flow = createFlow(app.baseUrl)
})
afterAll(() => app.close())

/** Where the browser is sent, or what its user is told. */
async function open(url: URL): Promise<{ status: number; location: URL | null; text: string }> {
  const answer = await fetch(url, { redirect: 'manual' })
  const location = answer.headers.get('location')
  const text = await answer.text()
  return { status: answer.status, location: location ? new URL(location, app.baseUrl) : null, text }
}

/** The consent page: the client and its redirect address were found good. */
async function expectConsent(url: URL): Promise<void> {
  expect(await open(url)).toMatchObject({
    status: 303,
    location: { origin: app.baseUrl, pathname: expect.stringMatching(/^\/connect\/[\w-]{20,}$/) },
  })
}

describe('a registration as it comes from', () => {
  test.each([
    ['claude.ai', CLAUDE_AI, 'web', CLAUDE_AI.redirect_uris],
    [
      'Claude Code, on another port later',
      CLAUDE_CODE,
      'native',
      ['http://localhost:54212/callback', 'http://localhost:61000/callback'],
    ],
    ['VS Code', VS_CODE, 'native', [...VS_CODE.redirect_uris, 'http://127.0.0.1:51734/']],
    [
      'VS Code, were it not to say that it is native',
      { ...VS_CODE, application_type: undefined },
      'native',
      ['https://vscode.dev/redirect', 'http://127.0.0.1:51734/'],
    ],
    ['Cursor', CURSOR, 'native', CURSOR.redirect_uris],
    ['the Inspector', INSPECTOR, 'native', INSPECTOR.redirect_uris],
    ['ChatGPT', CHATGPT, 'web', CHATGPT.redirect_uris],
  ] as const)(
    '%s leads to the consent page',
    async (_from, body, applicationType, redirectUris) => {
      const { status, body: client } = await flow.register(body)
      expect([status, client]).toEqual([
        201,
        expect.objectContaining({
          client_name: body.client_name,
          redirect_uris: body.redirect_uris,
          application_type: applicationType,
          grant_types: BOTH_GRANTS,
          token_endpoint_auth_method: body.token_endpoint_auth_method,
        }),
      ])
      for (const redirectUri of redirectUris) {
        await expectConsent(flow.authorization(client.client_id, { redirectUri }).url)
      }
    },
  )

  test('a client that says next to nothing can still refresh', async () => {
    const { status, body } = await flow.register({ redirect_uris: [LOOPBACK_REDIRECT] })
    expect([status, body]).toMatchObject([
      201,
      { grant_types: BOTH_GRANTS, response_types: ['code'] },
    ])
    expect(body.client_secret).toMatch(/^[\w-]{43,}$/)
  })
})

describe('a registration', () => {
  test('has no scopes of its own: what it asks for later is not held against it', async () => {
    const { body } = await flow.register(INSPECTOR)
    expect(body).not.toHaveProperty('scope')
    const scope = 'account messages:send'
    const redirectUri = INSPECTOR.redirect_uris[0]
    await expectConsent(flow.authorization(body.client_id, { redirectUri, scope }).url)
  })

  test('gives a secret to clients that want one, and to no other', async () => {
    for (const method of ['client_secret_basic', 'client_secret_post']) {
      const { body } = await flow.register({ ...CHATGPT, token_endpoint_auth_method: method })
      expect(body).toMatchObject({
        token_endpoint_auth_method: method,
        client_secret_expires_at: 0,
      })
      expect(body.client_secret).toMatch(/^[\w-]{43,}$/)
    }
    const { body, headers } = await flow.register(CLAUDE_AI)
    expect(body).not.toHaveProperty('client_secret')
    expect(body).not.toHaveProperty('registration_access_token')
    expect(headers.get('cache-control')).toBe('no-store')
  })

  test('keeps nothing that would have this server fetch an address or take another key', async () => {
    const { status, body } = await flow.register({
      ...CLAUDE_CODE,
      jwks_uri: 'https://127.0.0.1/jwks',
      sector_identifier_uri: 'https://127.0.0.1/sector',
      backchannel_logout_uri: 'https://127.0.0.1/logout',
      request_uris: ['https://127.0.0.1/request'],
    })
    expect(status).toBe(201)
    expect(JSON.stringify(body)).not.toContain('127.0.0.1')
  })

  test.each([
    ['no redirect address', { redirect_uris: [] }, 'invalid_redirect_uri'],
    ['one that is no URL', { redirect_uris: ['nonsense'] }, 'invalid_redirect_uri'],
    ['one with a fragment', { redirect_uris: ['https://claude.ai/cb#x'] }, 'invalid_redirect_uri'],
    [
      'plain http to another machine',
      { redirect_uris: ['http://evil.example/cb'] },
      'invalid_redirect_uri',
    ],
    [
      'too many',
      { redirect_uris: Array.from({ length: 21 }, (_, i) => `https://a.example/${i}`) },
      'invalid_redirect_uri',
    ],
    ['a script', { redirect_uris: ['javascript:alert(1)'] }, 'invalid_redirect_uri'],
    ['a document of its own', { redirect_uris: ['data:text/html,x'] }, 'invalid_redirect_uri'],
    ['a name of 201 characters', { client_name: 'x'.repeat(201) }, 'invalid_client_metadata'],
    [
      'another way to authenticate',
      { token_endpoint_auth_method: 'private_key_jwt' },
      'invalid_client_metadata',
    ],
    ['another response type', { response_types: ['token'] }, 'invalid_client_metadata'],
  ])('with %s is refused', async (_what, change, error) => {
    const answer = await flow.register({ ...CLAUDE_AI, ...change })
    expect([answer.status, answer.body]).toEqual([400, expect.objectContaining({ error })])
  })
})

describe('the authorization endpoint', () => {
  test('sends nobody to an address that was not registered', async () => {
    const { body: claude } = await flow.register(CLAUDE_AI)
    const { body: cursor } = await flow.register(CURSOR)
    const { body: local } = await flow.register(CLAUDE_CODE)
    for (const [id, redirectUri] of [
      [claude.client_id, 'https://claude.ai/api/mcp/auth_callback/'],
      [claude.client_id, 'https://claude.ai.evil.example/api/mcp/auth_callback'],
      [claude.client_id, 'https://claude.ai:8443/api/mcp/auth_callback'],
      [cursor.client_id, 'cursor://anysphere.cursor-mcp/oauth/callback2'],
      [local.client_id, 'http://127.0.0.1:54212/callback'],
      [local.client_id, 'http://localhost:54212/elsewhere'],
      [local.client_id, 'https://localhost:54212/callback'],
    ] as const) {
      const { status, location, text } = await open(flow.authorization(id, { redirectUri }).url)
      expect([redirectUri, status, location]).toEqual([redirectUri, 400, null])
      expect(text).toContain('<html')
    }
  })

  test.each([
    [
      'no challenge',
      { code_challenge: undefined, code_challenge_method: undefined },
      'invalid_request',
    ],
    ['a plain challenge', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['another resource', { resource: 'https://elsewhere.example/mcp' }, 'invalid_target'],
    ['a token at once', { response_type: 'token' }, 'unsupported_response_type'],
  ])('%s is refused at the client, which learns from whom', async (_what, change, error) => {
    const asked = flow.authorization(await flow.newClient(), change)
    const { status, location } = await open(asked.url)
    expect([status, location?.origin]).toEqual([303, new URL(LOOPBACK_REDIRECT).origin])
    const answer = new URLSearchParams(location?.search || location?.hash.slice(1))
    expect(Object.fromEntries(answer)).toMatchObject({
      error,
      state: asked.state,
      iss: app.baseUrl,
    })
  })

  test('tells the person in the browser of a client that is not known', async () => {
    const { status, location, text } = await open(flow.authorization('nobody').url)
    expect([status, location]).toEqual([400, null])
    expect(text).toMatch(/<html/)
  })
})

describe('the token endpoint', () => {
  test('says invalid_client of a client that is not known (401), so that it registers anew', async () => {
    for (const answer of [
      await flow.refresh('nobody', 'anything'),
      await flow.token({ grant_type: 'authorization_code', code: 'x', client_id: 'nobody' }),
    ]) {
      expect([answer.status, answer.body.error]).toEqual([401, 'invalid_client'])
      expect(answer.headers.get('cache-control')).toBe('no-store')
    }
  })

  test('says invalid_client of a wrong secret, and of none', async () => {
    const { body } = await flow.register({
      ...CHATGPT,
      token_endpoint_auth_method: 'client_secret_basic',
    })
    const grant = { grant_type: 'refresh_token', refresh_token: 'x' }
    const basic = (secret: string) =>
      `Basic ${Buffer.from(`${body.client_id}:${secret}`).toString('base64')}`
    const wrong = await flow.token(grant, { authorization: basic('wrong') })
    expect([wrong.status, wrong.body.error]).toEqual([401, 'invalid_client'])
    const none = await flow.token({ ...grant, client_id: body.client_id })
    expect([none.status, none.body.error]).toEqual([401, 'invalid_client'])
    const right = await flow.token(grant, { authorization: basic(body.client_secret) })
    expect([right.status, right.body.error]).toEqual([400, 'invalid_grant'])
  })

  test('says invalid_grant of a refresh token or code that is not good', async () => {
    const id = await flow.newClient()
    const refreshed = await flow.refresh(id, 'nothing')
    expect([refreshed.status, refreshed.body.error]).toEqual([400, 'invalid_grant'])
    const callback = new URL(`${LOOPBACK_REDIRECT}?code=nothing`)
    const exchanged = await flow.exchange(flow.authorization(id), callback)
    expect([exchanged.status, exchanged.body.error]).toEqual([400, 'invalid_grant'])
  })

  test('takes forms only, and no grant but the two', async () => {
    const client_id = await flow.newClient()
    const grant = { grant_type: 'refresh_token', refresh_token: 'x', client_id }
    const json = await fetch(`${app.baseUrl}/oauth/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(grant),
    })
    expect([json.status, await json.json()]).toMatchObject([400, { error: 'invalid_request' }])
    for (const grant_type of ['client_credentials', 'password', DEVICE]) {
      const { status, body } = await flow.token({ ...grant, grant_type })
      expect([status, body.error]).toEqual([400, 'unsupported_grant_type'])
    }
  })
})

describe('metadata', () => {
  test.each([
    '/.well-known/oauth-authorization-server',
    '/.well-known/oauth-authorization-server/mcp',
    '/.well-known/oauth-authorization-server/mcp/open',
    '/.well-known/openid-configuration',
    '/.well-known/openid-configuration/mcp',
    '/.well-known/openid-configuration/mcp/open',
  ])('of the authorization server at %s', async (path) => {
    const { status, body, headers } = await flow.get(path, { origin: 'https://a.example' })
    expect(status).toBe(200)
    expect(headers.get('access-control-allow-origin')).toMatch(/^(\*|https:\/\/a\.example)$/)
    expect(body).toMatchObject({
      issuer: app.baseUrl,
      authorization_endpoint: `${app.baseUrl}/oauth/authorize`,
      token_endpoint: `${app.baseUrl}/oauth/token`,
      registration_endpoint: `${app.baseUrl}/oauth/register`,
      revocation_endpoint: `${app.baseUrl}/oauth/revoke`,
      jwks_uri: `${app.baseUrl}/oauth/jwks`,
      response_types_supported: ['code'],
      grant_types_supported: BOTH_GRANTS,
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true,
      client_id_metadata_document_supported: true,
      scopes_supported: [
        ...['conversations:read', 'conversations:write', 'messages:send', 'conversations:share'],
        ...['teams:read', 'teams:manage', 'usage:read', 'account', 'offline_access'],
      ],
    })
    const methods = ['none', 'client_secret_basic', 'client_secret_post']
    expect(body.token_endpoint_auth_methods_supported).toEqual(expect.arrayContaining(methods))
    expect(body.token_endpoint_auth_methods_supported).toHaveLength(methods.length)
  })

  test.each(['/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/mcp'])(
    'of the protected resource at %s',
    async (path) => {
      const { status, body, headers } = await flow.get(path, { origin: 'https://a.example' })
      expect(status).toBe(200)
      expect(headers.get('access-control-allow-origin')).toBe('*')
      expect(body).toEqual({
        resource: `${app.baseUrl}/mcp`,
        resource_name: 'Claude API Gateway',
        authorization_servers: [app.baseUrl],
        scopes_supported: DEFAULT_SCOPES,
        bearer_methods_supported: ['header'],
      })
    },
  )

  test('are the same whatever a request says of our address', async () => {
    const forged = {
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'https',
      forwarded: 'host=evil.example;proto=https',
    }
    for (const path of ['oauth-authorization-server', 'oauth-protected-resource']) {
      const { body } = await flow.get(`/.well-known/${path}`, forged)
      expect(JSON.stringify(body)).not.toContain('evil.example')
      expect(JSON.stringify(body)).toContain(app.baseUrl)
    }
  })

  test('publish keys without their secret part', async () => {
    const { status, body } = await flow.get('/oauth/jwks')
    expect(status).toBe(200)
    const key = { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' }
    expect(body.keys).toEqual([{ ...key, kid: expect.any(String), x: expect.any(String) }])
  })

  test('are named by the challenge of a 401', async () => {
    const { status, headers } = await flow.callTool('not-a-token', 'get_conversations')
    expect(status).toBe(401)
    expect(headers.get('www-authenticate')).toBe(
      `Bearer error="invalid_token", scope="${DEFAULT_SCOPES.join(' ')}", ` +
        `resource_metadata="${app.baseUrl}/.well-known/oauth-protected-resource/mcp"`,
    )
  })
})

describe('a client in a web page', () => {
  const origin = 'http://localhost:6274'

  test.each(['/oauth/register', '/oauth/token', '/oauth/revoke'])('may ask %s', async (path) => {
    const preflight = await fetch(`${app.baseUrl}${path}`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      },
    })
    expect(preflight.ok).toBe(true)
    expect(preflight.headers.get('access-control-allow-origin')).toMatch(
      /^(\*|http:\/\/localhost:6274)$/,
    )
    expect(preflight.headers.get('access-control-allow-methods')).toContain('POST')
    expect(preflight.headers.get('access-control-allow-headers')).toMatch(/content-type/i)
    expect(preflight.headers.get('access-control-allow-credentials')).toBeNull()
  })

  test('reads the answers, refusals too', async () => {
    const registered = await flow.register(INSPECTOR, { origin })
    expect(registered.status).toBe(201)
    const refused = await flow.register({ redirect_uris: [] }, { origin })
    expect(refused.status).toBe(400)
    const client_id = registered.body.client_id
    const token = await flow.token(
      { grant_type: 'refresh_token', refresh_token: 'x', client_id },
      { origin },
    )
    for (const { headers } of [registered, refused, token]) {
      expect(headers.get('access-control-allow-origin')).toMatch(/^(\*|http:\/\/localhost:6274)$/)
    }
  })

  test('cannot ask for the authorization endpoint with a script', async () => {
    const { url } = flow.authorization(await flow.newClient())
    const answer = await fetch(url, { redirect: 'manual', headers: { origin } })
    expect(answer.headers.get('access-control-allow-origin')).toBeNull()
  })
})
