/** Who may use the Messages API, at which addresses, and what everyone else is told. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { messagesBody } from '../../support/api-exchange.ts'
import { type ApiUser, apiUser } from '../../support/api-user.ts'
import { openRequest, rawRequest } from '../../support/raw-request.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

let app: TestApp
let user: ApiUser
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
  user = await apiUser(app)
})
afterAll(() => app.close())

const VERSION = { 'anthropic-version': '2023-06-01' }
const models = (headers: readonly string[] | Record<string, string>) =>
  rawRequest(app.baseUrl, { method: 'GET', path: '/v1/models', headers })

const refusal = (type: string, message: RegExp) => ({
  type: 'error',
  error: { type, message: expect.stringMatching(message) },
  request_id: expect.stringMatching(/^req_cag_[0-9a-f]{32}$/),
})

describe('a token', () => {
  test('may be in either header, or the same one in both', async () => {
    const { token } = user
    for (const headers of [
      { authorization: `Bearer ${token}` },
      { authorization: `bearer  ${token} ` },
      { 'x-api-key': token },
      { authorization: `Bearer ${token}`, 'x-api-key': token },
      { authorization: `Bearer ${token}`, 'x-api-key': '' },
      { authorization: 'Bearer ', 'x-api-key': token },
    ]) {
      expect(await models({ ...VERSION, ...headers })).toMatchObject({ status: 200 })
    }
    const asked = app.claude.journal.filter(({ path }) => path === '/v1/models')
    expect(asked.slice(-6).map(({ key }) => key)).toEqual(Array(6).fill(user.apiKey))
    expect(JSON.stringify(asked.map(({ headers }) => headers))).not.toContain(token)
  })

  const wrong = (): [string, Record<string, string>, RegExp][] => [
    ['none', {}, /needs a token.*\/account\/tokens/],
    [
      'two different',
      { authorization: `Bearer ${user.token}`, 'x-api-key': 'cag_x' },
      /two different/,
    ],
    ['of another scheme', { authorization: 'Basic dXNlcg==' }, /no personal access token/],
    ['an Anthropic key', { 'x-api-key': 'sk-ant-api03-mine' }, /Anthropic API key/],
    [
      'an MCP access token',
      { authorization: `Bearer ${user.accessToken}` },
      /no personal access token/,
    ],
    [
      'an unknown one',
      { 'x-api-key': `cag_${'x'.repeat(43)}` },
      /expired, was revoked, or never was one/,
    ],
  ]

  test.each([0, 1, 2, 3, 4, 5])(
    'that is wrong is 401 in the shape of Anthropic (%s)',
    async (index) => {
      const [, headers, message] = wrong()[index] as ReturnType<typeof wrong>[number]
      const answer = await models({ ...VERSION, ...headers })
      expect(answer).toMatchObject({ status: 401, json: refusal('authentication_error', message) })
      expect(answer.headers).toMatchObject({
        'x-should-retry': 'false',
        'request-id': answer.json.request_id,
        'cache-control': 'no-store',
      })
      expect(answer.headers['www-authenticate']).toBeUndefined()
      for (const value of Object.values(headers)) expect(app.logLines.join('')).not.toContain(value)
    },
  )

  test('without the permission is 403', async () => {
    const { token } = await apiUser(app, ['messages:send'])
    const answer = await models({ ...VERSION, 'x-api-key': token })
    expect(answer).toMatchObject({ status: 403, json: refusal('permission_error', /messages:api/) })
  })

  test('of a user without a stored key is 403 with the way to one', async () => {
    const { userId, token } = await apiUser(app)
    await app.app.repositories.apiKeys.delete(userId)
    const answer = await models({ ...VERSION, 'x-api-key': token })
    expect(answer).toMatchObject({
      status: 403,
      json: refusal('permission_error', /\/account\/key/),
    })
  })
})

describe('addresses', () => {
  const ask = (method: string, path: string, headers: Record<string, string> = {}) =>
    rawRequest(app.baseUrl, {
      method,
      path,
      headers: { ...VERSION, 'x-api-key': user.token, ...headers },
    })

  test.each([
    '/v1',
    '/v1/',
    '/v1/v1/messages',
    '/v1/messages/',
    '/v1/Messages',
    '/V1/models',
    '/v1/messages/../organizations',
    '/v1/%6dodels',
    '/v1/models/..',
    '/v1/models/%2e%2e',
    '/v1/models/a/b',
    '/v1%2fmodels',
    '//v1/models',
    '/v1//models',
    '/v1/organizations/api_keys',
    '/v1/files',
    '/v1/messages/batches',
  ])('%s is 404, and nothing is asked upstream', async (path) => {
    const before = app.claude.journal.length
    const answer = await ask('GET', path)
    expect(answer).toMatchObject({
      status: 404,
      json: refusal('not_found_error', /nothing at this address/),
    })
    expect(app.claude.journal).toHaveLength(before)
  })

  test('a doubled /v1 gets the hint', async () => {
    const { json } = await ask('POST', '/v1/v1/messages')
    expect(json.error.message).toMatch(/twice.*base URL/)
  })

  test.each(['/messages', '/messages/count_tokens', '/models', '/models/claude-opus-5-5'])(
    '%s, of a base URL that lacks /v1, gets the hint',
    async (path) => {
      const before = app.claude.journal.length
      const answer = await ask('POST', path)
      expect(answer).toMatchObject({
        status: 404,
        json: refusal('not_found_error', /Add \/v1 to the base URL/),
      })
      expect(app.claude.journal).toHaveLength(before)
    },
  )

  test('the wrong method is 405', async () => {
    const answer = await ask('DELETE', '/v1/models')
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'GET' } })
    expect(answer.json).toEqual(refusal('invalid_request_error', /GET only/))
  })

  test('a foreign host name is refused', async () => {
    const answer = await ask('GET', '/v1/models', { host: 'evil.example' })
    expect(answer).toMatchObject({
      status: 403,
      json: refusal('permission_error', /evil\.example/),
    })
  })

  test('no web page is let in', async () => {
    const answer = await ask('GET', '/v1/models', { origin: 'https://page.example' })
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual(
      [],
    )
  })

  test('a model is passed on as it was asked for, its query too', async () => {
    const listed = await ask('GET', '/v1/models?limit=2')
    expect(listed.json.data).toHaveLength(2)
    const id = listed.json.data[0].id
    expect(await ask('GET', `/v1/models/${id}`)).toMatchObject({ status: 200, json: { id } })
    expect(await ask('GET', '/v1/models/claude-none')).toMatchObject({
      status: 404,
      json: { error: { type: 'not_found_error' } },
    })
    expect(app.claude.journal.map(({ path }) => path)).toContain('/v1/models?limit=2')
  })
})

test('a probe for liveness costs nothing, however often', async () => {
  const strict = await startApp({ kind: 'embedded', env: { ANONYMOUS_REQUESTS_PER_MINUTE: '5' } })
  try {
    const probes = Array.from({ length: 200 }, () =>
      rawRequest(strict.baseUrl, { method: 'HEAD', path: '/api/hello' }),
    )
    expect(new Set((await Promise.all(probes)).map(({ status }) => status))).toEqual(new Set([200]))
    const path = '/v1/models'
    const answer = await rawRequest(strict.baseUrl, { method: 'GET', path })
    expect(answer.status).toBe(401)
  } finally {
    await strict.close()
  }
})

describe('a user', () => {
  test('has a limit of calls of its own, apart from what costs nothing and from MCP', async () => {
    const env = { MESSAGES_API_REQUESTS_PER_MINUTE: '3', REQUESTS_PER_MINUTE: '2' }
    const limited = await startApp({ kind: 'embedded', env })
    try {
      const { token, accessToken } = await apiUser(limited)
      const headers = { ...VERSION, 'x-api-key': token }
      const send = () =>
        rawRequest(limited.baseUrl, { path: '/v1/messages', headers, body: 'no JSON' })
      for (let n = 0; n < 3; n += 1) expect((await send()).status).toBe(400)
      const refused = await send()
      expect(refused).toMatchObject({
        status: 429,
        json: refusal('rate_limit_error', /Too many calls of the Messages API/),
      })
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
      expect(refused.headers['x-should-retry']).toBeUndefined()
      for (let n = 0; n < 10; n += 1) {
        const listed = await rawRequest(limited.baseUrl, {
          method: 'GET',
          path: '/v1/models',
          headers,
        })
        expect(listed.status).toBe(200)
      }
      const client = await limited.connect('modern', accessToken)
      expect((await client.call('get_budget')).isError).toBe(false)
    } finally {
      await limited.close()
    }
  })

  test('has so many calls open at once, and no more', async () => {
    const limited = await startApp({ kind: 'embedded', env: { CONCURRENT_CALLS_PER_USER: '1' } })
    try {
      const { token } = await apiUser(limited)
      const headers = { ...VERSION, 'x-api-key': token }
      const asked = { path: '/v1/messages', headers, body: messagesBody({ stream: true }) }
      limited.claude.script({ kind: 'delay', delayMs: 600_000 })
      const first = openRequest(limited.baseUrl, asked)
      first.then((answer) => answer.on('error', () => {})).catch(() => {})
      await expect.poll(() => limited.claude.journal.length, { timeout: 30_000 }).toBe(1)
      expect(await rawRequest(limited.baseUrl, asked)).toMatchObject({
        status: 429,
        headers: { 'retry-after': '5' },
        json: refusal('rate_limit_error', /as many as may be at once/),
      })
    } finally {
      await limited.close()
    }
  })
})
