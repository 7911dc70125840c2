/** The wire of both protocol eras (MCP 2025-11-25 and 2026-07-28 specifications: Transports). */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../support/start-app.ts'
import { MODERN, message, modern, post, TOOL_PREFIX, toolCall } from './posting.ts'

const HEADER_MISMATCH = -32020
const UNSUPPORTED_VERSION = -32022
const METHOD_NOT_FOUND = -32601
const INVALID_PARAMS = -32602

let app: TestApp
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
})
afterAll(() => app.close())

const initialize = (protocolVersion: string) =>
  message('initialize', {
    protocolVersion,
    capabilities: {},
    clientInfo: { name: 'wire', version: '1.0.0' },
  })

describe('up to 2025-11-25', () => {
  test.each(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])(
    'initialize of %s is answered in that revision, without a session',
    async (version) => {
      const { status, headers, json } = await post(app.url, initialize(version))
      expect(status).toBe(200)
      expect(headers.get('content-type')).toMatch(/^application\/json/)
      expect(headers.get('mcp-session-id')).toBeNull()
      expect(json.result).toMatchObject({
        protocolVersion: version,
        capabilities: { tools: {}, resources: {} },
        serverInfo: { name: 'claude-api-gateway' },
      })
      expect(json.result.instructions).toContain('authenticate_user')
    },
  )

  test.each(['1999-01-01', '2030-01-01', MODERN])(
    'initialize of %s is answered with the newest revision of this era',
    async (version) => {
      const { json } = await post(app.url, initialize(version))
      expect(json.result.protocolVersion).toBe('2025-11-25')
    },
  )

  test('every request stands alone: no initialize, no session, no version header', async () => {
    const { json } = await post(app.url, message('tools/list'))
    expect(json.result.tools.map(({ name }: { name: string }) => name)).toContain(
      `${TOOL_PREFIX}send_message`,
    )
    expect((await post(app.url, message('ping'))).json).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: {},
    })
  })

  test('a session id that nobody gave out is ignored', async () => {
    const headers = { 'mcp-session-id': 'of-another-server' }
    expect((await post(app.url, message('tools/list'), headers)).status).toBe(200)
  })

  test('a version header that no revision has is 400', async () => {
    const headers = { 'mcp-protocol-version': '1999-01-01' }
    const { status, json } = await post(app.url, message('tools/list'), headers)
    expect(status).toBe(400)
    expect(json).toMatchObject({ jsonrpc: '2.0', error: { code: -32000 } })
  })

  test('notifications and responses are 202, without a body', async () => {
    const bodies = [
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 99 } },
      { jsonrpc: '2.0', id: 5, result: {} },
    ]
    for (const body of bodies)
      expect(await post(app.url, body)).toMatchObject({ status: 202, text: '' })
  })

  test('an unknown method is an error of the protocol', async () => {
    const { status, json } = await post(app.url, message('nothing/like-it'))
    expect(status).toBe(200)
    expect(json).toMatchObject({ id: 1, error: { code: METHOD_NOT_FOUND } })
  })

  test('an unknown tool is one too', async () => {
    expect((await post(app.url, toolCall('fly'))).json.error.code).toBe(INVALID_PARAMS)
  })

  test('the id comes back as it was: number, zero, or text', async () => {
    for (const id of [7, 0, 'seven', '']) {
      expect((await post(app.url, { ...message('ping'), id })).json.id).toBe(id)
    }
  })
})

describe(MODERN, () => {
  const ask = async (
    plain: { method: string; params?: object },
    change: { version?: string; headers?: Record<string, string | undefined> } = {},
  ) => {
    const { body, headers } = modern(plain, change.version)
    const changed = Object.entries({ ...headers, ...change.headers })
    const sent = changed.filter((entry): entry is [string, string] => entry[1] !== undefined)
    return post(app.url, body, Object.fromEntries(sent))
  }

  test('server/discover names its versions and how long that holds', async () => {
    const { status, json } = await ask(message('server/discover'))
    expect(status).toBe(200)
    expect(json.result).toMatchObject({
      resultType: 'complete',
      supportedVersions: [MODERN],
      capabilities: { tools: {}, resources: {} },
      ttlMs: expect.any(Number),
      cacheScope: 'public',
    })
  })

  test('a list says how long, and for whom, it holds', async () => {
    const { json } = await ask(message('tools/list'))
    expect(json.result).toMatchObject({ resultType: 'complete', cacheScope: 'private' })
    expect(json.result.ttlMs).toBeGreaterThan(0)
  })

  test('a tool is called', async () => {
    const { status, json } = await ask(toolCall('health_check'))
    expect(status).toBe(200)
    expect(json.result).toMatchObject({
      resultType: 'complete',
      structuredContent: { success: true, data: { status: 'healthy' } },
    })
  })

  test.each([
    ['Mcp-Method is absent', message('tools/list'), { 'mcp-method': undefined }],
    ['Mcp-Method names another', message('tools/list'), { 'mcp-method': 'tools/call' }],
    ['the version is absent', message('tools/list'), { 'mcp-protocol-version': undefined }],
    ['Mcp-Name is absent', toolCall('health_check'), { 'mcp-name': undefined }],
    [
      'Mcp-Name names another tool',
      toolCall('health_check'),
      { 'mcp-name': `${TOOL_PREFIX}send_message` },
    ],
    [
      'Mcp-Name names another resource',
      message('resources/read', { uri: 'mcp://claude-api-gateway/metrics' }),
      { 'mcp-name': 'mcp://claude-api-gateway/other', authorization: 'token' },
    ],
  ])('%s: header and body disagree', async (_name, plain, headers) => {
    const { authorization, ...rest } = headers as Record<string, string | undefined>
    const user = authorization ? await app.register() : undefined
    const answer = await ask(plain, {
      headers: { ...rest, ...(user ? { authorization: `Bearer ${user.accessToken}` } : {}) },
    })
    expect(answer).toMatchObject({
      status: 400,
      json: { jsonrpc: '2.0', id: 1, error: { code: HEADER_MISMATCH } },
    })
  })

  test('another version in the envelope than in the header is a mismatch', async () => {
    const { body, headers } = modern(message('tools/list'))
    const answer = await post(app.url, body, { ...headers, 'mcp-protocol-version': '2027-01-01' })
    expect(answer).toMatchObject({ status: 400, json: { error: { code: HEADER_MISMATCH } } })
  })

  test('a version of the future is refused with those there are', async () => {
    const answer = await ask(message('tools/list'), { version: '2027-01-01' })
    expect(answer).toMatchObject({
      status: 400,
      json: {
        id: 1,
        error: {
          code: UNSUPPORTED_VERSION,
          data: { supported: [MODERN], requested: '2027-01-01' },
        },
      },
    })
  })

  test('a request without its envelope is invalid', async () => {
    const answer = await post(
      app.url,
      message('tools/list', {}),
      modern(message('tools/list')).headers,
    )
    expect(answer).toMatchObject({ status: 400, json: { id: 1, error: { code: INVALID_PARAMS } } })
  })

  test('an unknown method is 404', async () => {
    const answer = await ask(message('nothing/like-it'))
    expect(answer).toMatchObject({
      status: 404,
      json: { id: 1, error: { code: METHOD_NOT_FOUND } },
    })
  })

  test('methods of the older era are unknown here', async () => {
    const answer = await ask(initialize(MODERN))
    expect(answer).toMatchObject({ status: 404, json: { error: { code: METHOD_NOT_FOUND } } })
  })

  test('an unknown tool is an error of the protocol', async () => {
    expect((await ask(toolCall('fly'))).json.error.code).toBe(INVALID_PARAMS)
  })

  test('a notification is 202, without a body', async () => {
    const plain = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 9 } }
    expect(await ask(plain)).toMatchObject({ status: 202, text: '' })
  })
})
