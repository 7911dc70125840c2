/** The whole way of a connector, with the OAuth code of both official SDK lines. */

import { IssuerMismatchError } from '@modelcontextprotocol/client'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AccessTokens } from '../../src/crypto/tokens.ts'
import { openSigningKeys } from '../../src/services/keys/signing-keys.ts'
import { vaultOf } from '../mcp/vault-of.ts'
import { startOAuthApp } from '../support/oauth-app.ts'
import {
  askForAccess,
  connectByOAuth,
  finishAuthorization,
  MemoryCredentials,
} from '../support/oauth-client.ts'
import { createFlow, LOOPBACK_REDIRECT, type OAuthFlow } from '../support/oauth-flow.ts'
import { newPerson, type Person } from '../support/oauth-person.ts'
import { eras, type TestApp, type TestClient } from '../support/start-app.ts'

const DEFAULT_SCOPES = ['conversations:read', 'messages:send', 'teams:read', 'usage:read']
const UNAUTHORIZED = { name: expect.stringMatching(/Unauthorized|Error/), message: /unauthorized/i }

let app: TestApp
let flow: OAuthFlow
/** Signs what has expired with the gateway's own key. */
let pen: AccessTokens
beforeAll(async () => {
  app = await startOAuthApp({ kind: 'embedded' })
  flow = createFlow(app.baseUrl)
  const keys = await openSigningKeys({
    repository: app.app.repositories.signingKeys,
    vault: await vaultOf(app),
    longestTokenSeconds: 3600,
  })
  pen = new AccessTokens({
    issuer: app.baseUrl,
    audience: app.mcpUrl,
    keys: keys.current.all,
  })
})
afterAll(() => app.close())

/** The access token as it is a minute after its end. */
async function expire(credentials: MemoryCredentials): Promise<void> {
  const { current } = credentials
  if (!current) throw new Error('there is no token')
  const { sub: userId = '', jti: sessionId = '' } = decodeJwt(current.access_token)
  const expiresAt = new Date(Date.now() - 60_000)
  const access_token = await pen.sign({ userId, sessionId, expiresAt })
  credentials.current = { ...current, access_token }
}

const accessTokenOf = ({ current }: MemoryCredentials) => current?.access_token ?? ''

describe.each(eras)('%s era', (era) => {
  let person: Person
  const clients: TestClient[] = []
  beforeAll(() => {
    person = newPerson(app.baseUrl)
  })
  afterAll(() => Promise.all(clients.map((client) => client.close())))

  const connect = async (options: Parameters<typeof connectByOAuth>[3] = {}) => {
    const connected = await connectByOAuth(era, app.mcpUrl, person, options)
    clients.push(connected.client)
    return connected
  }

  test('from a 401 by registration and approval to a message', async () => {
    const { client, credentials, refusal } = await connect()
    expect(refusal).toMatchObject(UNAUTHORIZED)
    const asked = Object.fromEntries(credentials.authorizationUrl?.searchParams ?? [])
    expect(asked).toMatchObject({
      client_id: credentials.client?.client_id,
      code_challenge_method: 'S256',
      redirect_uri: LOOPBACK_REDIRECT,
      resource: app.mcpUrl,
      scope: expect.stringContaining(DEFAULT_SCOPES.join(' ')),
    })
    expect(credentials.current).toMatchObject({ token_type: 'Bearer', expires_in: 900 })
    const token = accessTokenOf(credentials)
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'EdDSA', typ: 'at+jwt' })
    const { iss, aud, scope, exp = 0, iat = 0 } = decodeJwt(token)
    expect({ iss, aud, life: exp - iat }).toEqual({ iss: app.baseUrl, aud: app.mcpUrl, life: 900 })
    expect(String(scope).split(' ').sort()).toEqual(DEFAULT_SCOPES)
    const sent = await client.call('send_message', { message: 'Hello by OAuth' })
    expect(sent.structured.data.content).toBe('Hello by OAuth')
    expect(app.claude.billed(person.apiKey).calls).toBe(1)
    expect(credentials.timesAsked).toBe(1)
  })

  test('at the address of short names, which is a resource of the same endpoint', async () => {
    const address = `${app.mcpUrl}?tools=short`
    const { client, credentials } = await connectByOAuth(era, address, person)
    clients.push(client)
    expect(credentials.authorizationUrl?.searchParams.get('resource')).toBe(address)
    expect(decodeJwt(accessTokenOf(credentials)).aud).toBe(app.mcpUrl)
    const names = (await client.raw.listTools()).tools.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['send_message', 'get_budget']))
    expect(names).not.toContain('set_budget')
    expect((await client.call('get_conversations')).isError).toBe(false)
  })

  test('an expired token is refreshed without the person, again and again', async () => {
    const { client, credentials } = await connect()
    const seen = new Set([credentials.current?.refresh_token])
    for (const times of [2, 3]) {
      await expire(credentials)
      const answer = await client.call('get_conversations')
      expect([answer.isError, credentials.timesIssued]).toEqual([false, times])
      seen.add(credentials.current?.refresh_token)
    }
    expect([seen.size, credentials.timesAsked]).toEqual([3, 1])
  })

  test('a person who refuses is not asked again, and the client learns why', async () => {
    const credentials = new MemoryCredentials()
    const { refusal } = await askForAccess(era, app.mcpUrl, credentials)
    expect(refusal).toMatchObject(UNAUTHORIZED)
    if (!credentials.authorizationUrl) throw new Error('the client asked for nothing')
    const back = await person.answer(credentials.authorizationUrl, { decision: 'Deny' })
    expect(() => credentials.checkState(back)).not.toThrow()
    expect(Object.fromEntries(back.searchParams)).toMatchObject({
      error: 'access_denied',
      iss: app.baseUrl,
    })
    expect(back.searchParams.get('code')).toBeNull()
  })

  test.each([
    ['the account page', async () => person.endConnection('Ended by its person')],
    [
      'RFC 7009',
      async ({ client, current }: MemoryCredentials) => {
        const id = client?.client_id ?? ''
        const { status } = await flow.revoke(id, current?.refresh_token ?? '')
        expect(status).toBe(200)
      },
    ],
    [
      'revoke_token',
      async (_credentials: MemoryCredentials, client: TestClient) => {
        expect((await client.call('revoke_token')).isError).toBe(false)
      },
    ],
  ])('a connection that %s ended is over with the next call', async (_by, end) => {
    const credentials = new MemoryCredentials({ name: 'Ended by its person' })
    const { client } = await connect({ credentials })
    expect((await client.call('get_conversations')).isError).toBe(false)
    const token = accessTokenOf(credentials)
    const refreshToken = credentials.current?.refresh_token ?? ''
    await end(credentials, client)
    await expect(client.call('get_conversations')).rejects.toMatchObject(UNAUTHORIZED)
    // The client tried its refresh token, and had nothing left but to show its user a page.
    expect([credentials.timesAsked, credentials.timesIssued]).toEqual([2, 1])
    const direct = await flow.callTool(token, 'get_conversations')
    expect([direct.status, direct.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringContaining('error="invalid_token"'),
    ])
    const refreshed = await flow.refresh(credentials.client?.client_id ?? '', refreshToken)
    expect([refreshed.status, refreshed.body.error]).toEqual([400, 'invalid_grant'])
  })
})

describe('step-up', () => {
  test('the newer client asks for what a 403 names, and loses nothing that it had', async () => {
    const person = newPerson(app.baseUrl)
    const scopes = ['conversations:read']
    const { client, credentials } = await connectByOAuth('modern', app.mcpUrl, person, { scopes })
    expect(credentials.current?.scope).toBe('conversations:read')
    await expect(client.call('send_message', { message: 'Hi' })).rejects.toMatchObject(UNAUTHORIZED)
    const asked = credentials.authorizationUrl?.searchParams.get('scope')?.split(' ')
    expect(asked).toEqual(expect.arrayContaining(['conversations:read', 'messages:send']))
    await finishAuthorization(client, credentials, person)
    expect((await client.call('send_message', { message: 'Hi' })).isError).toBe(false)
    expect((await client.call('get_conversations')).isError).toBe(false)
    expect(credentials.timesAsked).toBe(2)
    await client.close()
  })

  test('the older client refreshes instead, says 403, and asks once its tokens are gone', async () => {
    const person = newPerson(app.baseUrl)
    const scopes = ['conversations:read']
    const { client, credentials } = await connectByOAuth('legacy', app.mcpUrl, person, { scopes })
    await expect(client.call('send_message', { message: 'Hi' })).rejects.toThrow(
      'Server returned 403 after trying upscoping',
    )
    expect([credentials.timesAsked, credentials.timesIssued]).toEqual([1, 2])
    expect((await client.call('get_conversations')).isError).toBe(false)
    credentials.invalidateCredentials('tokens')
    await expect(client.call('send_message', { message: 'Hi' })).rejects.toMatchObject(UNAUTHORIZED)
    await finishAuthorization(client, credentials, person)
    expect((await client.call('send_message', { message: 'Hi' })).isError).toBe(false)
    await client.close()
  })

  test('the 403 names all that is needed, and where to ask', async () => {
    const person = newPerson(app.baseUrl)
    const scopes = ['usage:read', 'conversations:read']
    const { client, credentials } = await connectByOAuth('modern', app.mcpUrl, person, { scopes })
    const refused = await flow.callTool(accessTokenOf(credentials), 'send_message', {
      message: 'x',
    })
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      403,
      'Bearer error="insufficient_scope", scope="conversations:read usage:read messages:send", ' +
        `resource_metadata="${app.baseUrl}/.well-known/oauth-protected-resource/mcp"`,
    ])
    await client.close()
  })
})

test('the newer client takes no code that comes from another issuer', async () => {
  const person = newPerson(app.baseUrl)
  const credentials = new MemoryCredentials()
  const asked = await askForAccess('modern', app.mcpUrl, credentials)
  const { client, transport, connect } = asked
  if (!credentials.authorizationUrl) throw new Error('the client asked for nothing')
  const { searchParams } = await person.answer(credentials.authorizationUrl)
  expect(searchParams.get('iss')).toBe(app.baseUrl)
  const other = new URLSearchParams(searchParams)
  other.set('iss', 'https://elsewhere.example')
  await expect(transport.finishAuth(other)).rejects.toThrow(IssuerMismatchError)
  other.delete('iss')
  await expect(transport.finishAuth(other)).rejects.toThrow(IssuerMismatchError)
  await transport.finishAuth(searchParams)
  await connect()
  expect((await client.call('get_conversations')).isError).toBe(false)
  await client.close()
})
