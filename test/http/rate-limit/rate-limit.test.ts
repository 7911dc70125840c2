/** Limits of one process: per user whichever way the token came, per address without one. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { type Answered, bearer, message, modern, post, toolCall } from '../posting.ts'

const PER_USER = 4
const PER_ADDRESS = 6
const REGISTRATIONS = 2
const SIGN_INS = 3

let app: TestApp
beforeAll(async () => {
  app = await startApp({
    kind: 'embedded',
    env: {
      REQUESTS_PER_MINUTE: String(PER_USER),
      ANONYMOUS_REQUESTS_PER_MINUTE: String(PER_ADDRESS),
      REGISTRATIONS_PER_HOUR: String(REGISTRATIONS),
      SIGN_INS_PER_MINUTE: String(SIGN_INS),
      // Gives every test addresses of its own.
      TRUST_PROXY: '1',
    },
  })
})
afterAll(() => app.close())

/** Past the HTTP side, so that nothing of it counts. */
async function newUser() {
  const { accounts } = app.app.services
  const username = randomUUID()
  const account = { username, email: `${username}@example.com`, apiKey: `sk-ant-api03-${username}` }
  const { password } = await accounts.register(account)
  const signIn = async () => (await accounts.authenticate(username, password)).accessToken
  return { username, password, signIn, accessToken: await signIn() }
}

let addresses = 0
const newAddress = () => ({ 'x-forwarded-for': `198.51.100.${++addresses}` })

const ok = ({ status, json }: Answered) => status === 200 && json.result?.isError !== true

/** A tool error, since an HTTP 429 makes MCP clients drop the server. */
function expectLimitedResult({ status, json }: Answered, withinSeconds = 60): void {
  expect(status).toBe(200)
  expect(json.result).toMatchObject({
    isError: true,
    structuredContent: {
      success: false,
      error: { code: 'rate_limited', retryable: true, details: { limited_by: 'gateway' } },
    },
  })
  const { retry_after_seconds } = json.result.structuredContent.error
  expect(retry_after_seconds).toBeGreaterThanOrEqual(1)
  expect(retry_after_seconds).toBeLessThanOrEqual(withinSeconds)
}

function expect429({ status, headers, json }: Answered): void {
  expect(status).toBe(429)
  expect(headers.get('content-type')).toMatch(/^application\/json/)
  expect(json).toMatchObject({
    jsonrpc: '2.0',
    id: 1,
    error: { data: { code: 'rate_limited', retryable: true } },
  })
  const seconds = Number(headers.get('retry-after'))
  expect(seconds).toBeGreaterThanOrEqual(1)
  expect(seconds).toBeLessThanOrEqual(60)
  expect(json.error.data.retry_after_seconds).toBe(seconds)
}

describe('a user', () => {
  test('is counted together by header and by argument, in both eras and on every address', async () => {
    const { accessToken } = await newUser()
    const byHeader = () =>
      post(app.url, toolCall('get_conversations'), { ...bearer(accessToken), ...newAddress() })
    const byArgument = () => {
      const plain = toolCall('get_conversations', { access_token: accessToken })
      const { body, headers } = modern(plain)
      return post(app.url, body, { ...headers, ...newAddress() })
    }
    const first = [await byHeader(), await byArgument(), await byHeader(), await byArgument()]
    expect(first.map(ok)).toEqual([true, true, true, true])
    expectLimitedResult(await byHeader())
    expectLimitedResult(await byArgument())
  })

  test('who sends both counts once', async () => {
    const { accessToken } = await newUser()
    const plain = toolCall('get_conversations', { access_token: accessToken })
    const ask = () => post(app.url, plain, bearer(accessToken))
    for (let i = 0; i < PER_USER; i++) expect(ok(await ask())).toBe(true)
    expectLimitedResult(await ask())
  })

  test('is one user over all sessions', async () => {
    const { accessToken, signIn } = await newUser()
    const ask = (token: string) => post(app.url, toolCall('get_conversations'), bearer(token))
    for (let i = 0; i < PER_USER; i++) await ask(accessToken)
    expectLimitedResult(await ask(await signIn()))
  })

  test('gets a 429 for anything but a tool call', async () => {
    const { accessToken } = await newUser()
    const ask = (method: string) => post(app.url, message(method), bearer(accessToken))
    for (let i = 0; i < PER_USER; i++) expect(ok(await ask('tools/list'))).toBe(true)
    expect429(await ask('tools/list'))
    expect429(await ask('ping'))
  })

  test('does not use up what others have', async () => {
    const [ada, bob] = [await newUser(), await newUser()]
    const ask = (token: string) => post(app.url, toolCall('get_conversations'), bearer(token))
    for (let i = 0; i <= PER_USER; i++) await ask(ada.accessToken)
    expectLimitedResult(await ask(ada.accessToken))
    expect(ok(await ask(bob.accessToken))).toBe(true)
  })

  test('who is limited reaches neither the database nor Claude', async () => {
    const { accessToken } = await newUser()
    const ask = () =>
      post(app.url, toolCall('send_message', { message: 'hi' }), bearer(accessToken))
    for (let i = 0; i < PER_USER; i++) expect(ok(await ask())).toBe(true)
    app.claude.reset()
    expectLimitedResult(await ask())
    expect(app.claude.journal).toEqual([])
  })

  test('reads in draft-8 headers what is left', async () => {
    const { accessToken } = await newUser()
    for (const left of [3, 2, 1, 0, 0]) {
      const { headers } = await post(app.url, toolCall('health_check'), bearer(accessToken))
      expect(headers.get('ratelimit-policy')).toMatch(
        new RegExp(`^"requests"; q=${PER_USER}; w=60; pk=:[^:]+:$`),
      )
      expect(headers.get('ratelimit')).toMatch(new RegExp(`^"requests"; r=${left}; t=\\d+$`))
      expect(headers.get('x-ratelimit-limit')).toBeNull()
    }
  })
})

describe('an address', () => {
  const list = (headers: Record<string, string>) => post(app.url, message('tools/list'), headers)

  test('may ask so often without a token, others are not held to it', async () => {
    const here = newAddress()
    for (let i = 0; i < PER_ADDRESS; i++) expect(ok(await list(here))).toBe(true)
    expect429(await list(here))
    expectLimitedResult(await post(app.url, toolCall('health_check'), here))
    expect(ok(await list(newAddress()))).toBe(true)
  })

  test('does not limit a user who asks from it', async () => {
    const here = newAddress()
    for (let i = 0; i <= PER_ADDRESS; i++) await list(here)
    const { accessToken } = await newUser()
    expect(ok(await list({ ...here, ...bearer(accessToken) }))).toBe(true)
  })

  test('may guess tokens no more often than it may ask', async () => {
    const here = newAddress()
    for (let i = 0; i < PER_ADDRESS; i++) {
      expect((await list({ ...here, ...bearer(`guess-${i}`) })).status).toBe(401)
    }
    expect429(await list({ ...here, ...bearer('guess') }))
    expect429(await post(app.url, toolCall('health_check'), { ...here, ...bearer('guess') }))
    const args = { access_token: 'guess' }
    expectLimitedResult(await post(app.url, toolCall('get_conversations', args), here))
  })

  test('of IPv6 is its network: one machine has billions of addresses', async () => {
    const at = (end: string) => ({ 'x-forwarded-for': `2001:db8:7:100:${end}` })
    for (let i = 0; i < PER_ADDRESS; i++) expect(ok(await list(at(`${i}::1`)))).toBe(true)
    expect429(await list(at('ffff::1')))
    expect(ok(await list({ 'x-forwarded-for': '2001:db8:9:100::1' }))).toBe(true)
  })

  test('is the nearest one that a trusted proxy names, not what the client wrote', async () => {
    const { 'x-forwarded-for': here } = newAddress()
    for (let i = 0; i < PER_ADDRESS; i++) {
      expect(ok(await list({ 'x-forwarded-for': `203.0.113.${i}, ${here}` }))).toBe(true)
    }
    expect429(await list({ 'x-forwarded-for': `203.0.113.99, ${here}` }))
  })
})

describe('tighter limits', () => {
  test('registrations', async () => {
    const here = newAddress()
    const register = (name: string, headers = here) => {
      const username = `${name}-${randomUUID().slice(0, 8)}`
      const args = {
        username,
        email: `${username}@example.com`,
        anthropic_api_key: 'sk-ant-api03-x',
      }
      return post(app.url, toolCall('register_user', args), headers)
    }
    for (let i = 0; i < REGISTRATIONS; i++) expect(ok(await register('in'))).toBe(true)
    app.claude.reset()
    const limited = await register('out')
    expectLimitedResult(limited, 3600)
    expect(limited.json.result.structuredContent.error.message).toContain('registrations')
    expect(app.claude.journal).toEqual([])
    expect(ok(await post(app.url, toolCall('health_check'), here))).toBe(true)
    expect(ok(await register('elsewhere', newAddress()))).toBe(true)
  })

  test('sign-ins, right or wrong, of whatever account', async () => {
    const here = newAddress()
    const { username, password } = await newUser()
    const signIn = (args: object, headers = here) =>
      post(app.url, toolCall('authenticate_user', args), headers)
    expect(ok(await signIn({ username, password }))).toBe(true)
    for (let i = 1; i < SIGN_INS; i++) {
      const { json } = await signIn({ username: `nobody-${i}`, password: 'guess' })
      expect(json.result.structuredContent.error.code).toBe('invalid_credentials')
    }
    const limited = await signIn({ username, password })
    expectLimitedResult(limited)
    expect(limited.json.result.structuredContent.error.message).toContain('sign-ins')
    expect(limited.headers.get('ratelimit')).toMatch(/"requests"; r=2;.*"sign-ins"; r=0;/)
    expect(ok(await signIn({ username, password }, newAddress()))).toBe(true)
  })

  test('hold for somebody with a token too', async () => {
    const here = newAddress()
    const { accessToken, username, password } = await newUser()
    const signIn = () =>
      post(app.url, toolCall('authenticate_user', { username, password }), {
        ...here,
        ...bearer(accessToken),
      })
    for (let i = 0; i < SIGN_INS; i++) expect(ok(await signIn())).toBe(true)
    expectLimitedResult(await signIn())
  })
})

test('without TRUST_PROXY nobody gets a new address by writing one', async () => {
  const env = { ANONYMOUS_REQUESTS_PER_MINUTE: '3' }
  const direct = await startApp({ kind: 'embedded', env })
  const list = () => post(direct.url, message('tools/list'), newAddress())
  for (let i = 0; i < 3; i++) expect(ok(await list())).toBe(true)
  expect429(await list())
  expect((await fetch(`${direct.baseUrl}/livez`)).status).toBe(200)
  await direct.close()
})

test('express-rate-limit finds nothing to warn of in how it is set up', () => {
  expect(app.logLines.filter((line) => line.includes('ERR_ERL'))).toEqual([])
  expect(app.logLines.length).toBeGreaterThan(50)
})
