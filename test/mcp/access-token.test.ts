/** The two ways to say who is asking, and what a wrong one is answered with. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eras, startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { post, postCall } from './raw-call.ts'

let app: TestApp
let ada: TestUser
let bob: TestUser
let revoked: string

beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
  ada = await app.register()
  bob = await app.register()
  const client = await app.connect('legacy')
  const { username, password } = ada
  const { structured } = await client.call('authenticate_user', { username, password })
  revoked = structured.data.access_token
  await client.call('revoke_token', { access_token: revoked })
})
afterAll(() => app.close())

const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } })

/** A good token whose signature is not the gateway's: one character differs. */
function forged(token: string): string {
  const at = token.lastIndexOf('.') + 10
  return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
}

describe.each(eras)('%s era', (era) => {
  test('the header and the argument are equally good', async () => {
    const byHeader = await app.connect(era, ada.accessToken)
    const byArgument = await app.connect(era)
    const sent = await byHeader.call('send_message', { message: 'Mine.' })
    const { conversation_id } = sent.structured.data
    const read = { conversation_id, access_token: ada.accessToken }
    const history = await byArgument.call('get_conversation_history', read)
    expect(history.structured.total).toBe(2)
  })

  test('both may be sent when they are the same user’s', async () => {
    const client = await app.connect(era, ada.accessToken)
    const answer = await client.call('get_conversations', { access_token: ada.accessToken })
    expect(answer.isError).toBe(false)
  })

  test('both of different users are refused', async () => {
    const client = await app.connect(era, ada.accessToken)
    const answer = await client.call('get_conversations', { access_token: bob.accessToken })
    expect(answer).toMatchObject({
      isError: true,
      structured: { success: false, error: { code: 'forbidden', retryable: false } },
    })
  })

  test.each([
    ['nonsense', () => 'not-a-token'],
    ['a forged one', () => forged(ada.accessToken)],
    ['a revoked one', () => revoked],
  ])('as an argument, %s is a tool error for its author to mend', async (_name, token) => {
    const response = await postCall(app.url, era, 'get_conversations', { access_token: token() })
    expect(response.status).toBe(200)
    const { result } = (await response.json()) as { result: Record<string, unknown> }
    expect(result).toMatchObject({
      isError: true,
      structuredContent: { success: false, error: { code: 'unauthenticated' } },
    })
    expect(JSON.stringify(result)).not.toContain(token())
  })

  test('beside a good header, a wrong argument is still wrong', async () => {
    const client = await app.connect(era, ada.accessToken)
    const answer = await client.call('get_conversations', { access_token: revoked })
    expect(answer.structured.error.code).toBe('unauthenticated')
  })

  test.each([
    ['nonsense', () => bearer('not-a-token')],
    ['a forged one', () => bearer(forged(ada.accessToken))],
    ['a revoked one', () => bearer(revoked)],
    ['another scheme', () => ({ headers: { Authorization: 'Basic YWRhOnNlY3JldA==' } })],
    ['an empty one', () => ({ headers: { Authorization: 'Bearer' } })],
  ])('as a header, %s is 401 with the challenge', async (_name, extra) => {
    for (const tool of ['get_conversations', 'health_check']) {
      const response = await postCall(app.url, era, tool, {}, extra())
      expect(response.status).toBe(401)
      const challenge = response.headers.get('www-authenticate')
      expect(challenge).toMatch(
        /^Bearer error="invalid_token", scope="[a-z: ]+", resource_metadata="http:\/\/[^"]+\/\.well-known\/oauth-protected-resource\/mcp\/open"$/,
      )
      expect(await response.json()).toMatchObject({ jsonrpc: '2.0', error: expect.any(Object) })
    }
  })

  test('a wrong header is 401 also with a good argument', async () => {
    const args = { access_token: ada.accessToken }
    const response = await postCall(app.url, era, 'get_conversations', args, bearer(revoked))
    expect(response.status).toBe(401)
  })

  test.each([
    'send_message',
    'get_conversations',
    'get_conversation_history',
    'rotate_token',
    'revoke_token',
  ])('%s without any token is 401 with the challenge', async (tool) => {
    const response = await postCall(app.url, era, tool)
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toMatch(
      /^Bearer scope="[a-z: ]+", resource_metadata="/,
    )
  })

  test('a resource without a token is 401 with the challenge', async () => {
    const uri = 'mcp://claude-api-gateway/metrics'
    const response = await post(app.url, era, 'resources/read', { uri })
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toMatch(
      /^Bearer scope="[a-z: ]+", resource_metadata="/,
    )
  })

  test('lists and the public tools need no token', async () => {
    for (const method of ['tools/list', 'resources/list']) {
      expect((await post(app.url, era, method)).status).toBe(200)
    }
    const client = await app.connect(era)
    expect((await client.call('health_check')).isError).toBe(false)
    const unknown = { username: 'nobody', password: 'x' }
    const signIn = await client.call('authenticate_user', unknown)
    expect(signIn.structured.error.code).toBe('invalid_credentials')
    const registration = await client.call('register_user', {})
    expect(registration.structured.error.code).toBe('invalid_input')
  })
})

test('no token is ever written to the log', () => {
  const log = app.logLines.join('')
  expect(app.logLines.length).toBeGreaterThan(50)
  for (const token of [ada.accessToken, bob.accessToken, revoked]) expect(log).not.toContain(token)
})
