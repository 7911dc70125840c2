/** What real clients and proxies write otherwise than the specifications ask, and mean all the same. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { withoutPort } from '../../src/http/forwarded-addresses.ts'
import { tools } from '../../src/mcp/tools/index.ts'
import { eras, startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { bearer, message, modern, postByHand, toolCall } from './posting.ts'

const JSON_TYPE = /^application\/json/
const STREAM_TYPE = /^text\/event-stream/
/** Each tool's arguments by their names. */
const argumentsOf = (name: string) =>
  Object.entries(tools.find((tool) => tool.name === name)?.input.shape ?? {})

let app: TestApp
let user: TestUser
beforeAll(async () => {
  app = await startApp({
    kind: 'embedded',
    env: { TRUST_PROXY: '1', ANONYMOUS_REQUESTS_PER_MINUTE: '5' },
  })
  user = await app.register()
})
afterAll(() => app.close())

describe.each(eras)('%s era', (era) => {
  function send(plain: { method: string; params?: object }, headers: Record<string, string> = {}) {
    const sent = era === 'modern' ? modern(plain) : { body: plain, headers: {} }
    return postByHand(app.url, sent.body, {
      ...bearer(user.accessToken),
      ...sent.headers,
      ...headers,
    })
  }

  test.each([
    ['*/*', JSON_TYPE, STREAM_TYPE],
    ['', JSON_TYPE, STREAM_TYPE],
    ['application/*', JSON_TYPE, JSON_TYPE],
    ['application/json', JSON_TYPE, JSON_TYPE],
    ['Application/JSON', JSON_TYPE, JSON_TYPE],
    ['text/event-stream', STREAM_TYPE, STREAM_TYPE],
    ['text/*', STREAM_TYPE, STREAM_TYPE],
    ['APPLICATION/json,TEXT/Event-Stream', JSON_TYPE, STREAM_TYPE],
    ['text/event-stream;q=0.9, application/json;q=0.8', JSON_TYPE, STREAM_TYPE],
    ['text/event-stream;q=0, */*', JSON_TYPE, JSON_TYPE],
    ['text/html, application/xhtml+xml, */*;q=0.8', JSON_TYPE, STREAM_TYPE],
  ])('Accept: %s is answered in what it means', async (accept, plainType, streamedType) => {
    const list = await send(message('tools/list'), { accept })
    expect([list.status, list.json.result.tools.length]).toEqual([200, tools.length])
    const plain = await send(toolCall('get_conversations'), { accept })
    expect([plain.status, plain.json.result.isError ?? false]).toEqual([200, false])
    expect(plain.headers.get('content-type')).toMatch(plainType)
    const streamed = await send(toolCall('send_message', { message: 'Hello' }), { accept })
    expect(streamed.headers.get('content-type')).toMatch(streamedType)
    expect(streamed.json.result.structuredContent.data.content).toBe('Hello')
    for (const { headers } of [list, plain, streamed]) {
      expect(headers.get('cache-control')).toContain('no-store')
    }
  })

  test('no Accept at all is answered', async () => {
    const { body, headers } =
      era === 'modern'
        ? modern(toolCall('get_conversations'))
        : { body: toolCall('get_conversations'), headers: {} }
    const { request } = await import('node:http')
    const status = await new Promise<number>((resolve, reject) => {
      const sent = { ...headers, ...bearer(user.accessToken), 'content-type': 'application/json' }
      request(app.url, { method: 'POST', headers: sent }, (res) => {
        res.resume()
        resolve(res.statusCode ?? 0)
      })
        .on('error', reject)
        .end(JSON.stringify(body))
    })
    expect(status).toBe(200)
  })

  test.each([
    'application/json; charset=utf8',
    'application/json;charset=UTF8',
    'application/json; charset="utf8"',
    'Application/JSON ; Charset=Utf8',
  ])('%s is JSON', async (type) => {
    const answer = await send(toolCall('get_conversations'), { 'content-type': type })
    expect([answer.status, answer.json.result.isError ?? false]).toEqual([200, false])
  })

  test('null for an argument that may be left out leaves it out, in every tool', async () => {
    for (const name of [
      'send_message',
      'get_message',
      'get_conversations',
      'get_usage',
      'set_budget',
    ]) {
      const required: Record<string, unknown> = {
        message: 'Hello',
        message_id: '019aa6a8-0000-7000-8000-000000000000',
        period: 'day',
      }
      const args = Object.fromEntries(
        argumentsOf(name).map(([argument]) => [argument, required[argument] ?? null]),
      )
      const { json } = await send(toolCall(name, { ...args, access_token: null }))
      const { error } = json.result.structuredContent
      // Nobody has such a message; its arguments were good.
      expect([name, error?.code]).toEqual([name, name === 'get_message' ? 'not_found' : undefined])
    }
    const reset = {
      period: 'day',
      limit_usd: null,
      limit_tokens: null,
      reset: true,
      username: null,
    }
    expect((await send(toolCall('set_budget', reset))).json.result.isError).toBeUndefined()
  })

  test('null for one that may not, or that no tool has, is refused by name', async () => {
    for (const [args, field] of [
      [{ message: null }, 'message'],
      [{ message: 'x', colour: null }, 'colour'],
      [{ message: 'x', stop_sequences: [null] }, 'stop_sequences.0'],
    ] as const) {
      const { error } = (await send(toolCall('send_message', args))).json.result.structuredContent
      expect([error.code, error.details.fields]).toEqual(['invalid_input', [field]])
    }
  })

  const name = 'claude-api-gateway_get_conversations'
  test.each([
    ['tools/call', { name, arguments: null }, 'params.arguments must be an object; leave it out'],
    ['tools/call', { name, arguments: [] }, 'params.arguments must be an object; leave it out'],
    ['tools/call', { name, arguments: 'x' }, 'params.arguments must be an object; leave it out'],
    ['tools/call', { name: 5 }, 'params.name must be text'],
    ['tools/call', {}, 'params.name is missing'],
    ['tools/list', { cursor: null }, 'params.cursor must be text; leave it out'],
    ['tools/list', { cursor: 5 }, 'params.cursor must be text; leave it out'],
    ['resources/list', { cursor: null }, 'params.cursor must be text; leave it out'],
    ['resources/templates/list', { cursor: null }, 'params.cursor must be text; leave it out'],
    ['resources/read', { uri: null }, 'params.uri must be text'],
    ['resources/read', {}, 'params.uri is missing'],
  ])('%s with %j is -32602, in one line', async (method, params, says) => {
    const plain = { ...message(method, params), id: 'mine' }
    const { body, headers } = era === 'modern' ? modern(plain) : { body: plain, headers: {} }
    const { 'mcp-name': named, ...others } = headers as Record<string, string>
    const mirrored = typeof named === 'string' ? { 'mcp-name': named } : {}
    const answer = await postByHand(app.url, body, {
      ...bearer(user.accessToken),
      ...others,
      ...mirrored,
    })
    expect([answer.status, answer.json]).toEqual([
      200,
      {
        jsonrpc: '2.0',
        id: 'mine',
        error: { code: -32602, message: expect.stringContaining(says) },
      },
    ])
    expect(answer.json.error.message).not.toMatch(/[\n{}[\]]/)
  })
})

describe('metadata', () => {
  test.each([
    '/.well-known/oauth-protected-resource',
    '/.well-known/oauth-protected-resource/mcp',
    '/.well-known/oauth-protected-resource/mcp/open',
    '/.well-known/oauth-authorization-server',
    '/.well-known/oauth-authorization-server/mcp',
    '/.well-known/openid-configuration',
    '/.well-known/openid-configuration/mcp',
    '/oauth/jwks',
    '/mcp/server-card',
    '/.well-known/ai-catalog.json',
  ])('%s answers preflights', async (path) => {
    const answer = await fetch(`${app.baseUrl}${path}`, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://a.example',
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'mcp-protocol-version',
      },
    })
    expect(answer.status).toBe(204)
    expect(answer.headers.get('access-control-allow-origin')).toMatch(/^(\*|https:\/\/a\.example)$/)
    expect(answer.headers.get('access-control-allow-methods')).toContain('GET')
    const allowed = answer.headers.get('access-control-allow-headers') ?? ''
    expect(allowed).toMatch(/mcp-protocol-version|\*|content-type/i)
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
  })
})

describe('X-Forwarded-For', () => {
  test.each([
    ['1.2.3.4', '1.2.3.4'],
    ['1.2.3.4:5678', '1.2.3.4'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['[::ffff:1.2.3.4]:80', '::ffff:1.2.3.4'],
    ['unknown', 'unknown'],
    ['_hidden:80', '_hidden:80'],
    ['1.2.3.4:', '1.2.3.4:'],
    ['1.2.3.4:port', '1.2.3.4:port'],
    ['1.2.3:80', '1.2.3:80'],
    ['[1.2.3.4]:80', '[1.2.3.4]:80'],
    ['', ''],
  ])('%s is the address %s', (given, address) => expect(withoutPort(given)).toBe(address))

  test.each([
    ['192.0.2.7', (port: number) => `192.0.2.7:${port}`],
    ['2001:db8:7::1', (port: number) => `[2001:db8:7::1]:${port}`],
  ])('of %s with ports is counted as one address', async (_address, forwarded) => {
    const statuses: number[] = []
    for (let port = 40_000; port < 40_007; port++) {
      const headers = { 'x-forwarded-for': `203.0.113.9, ${forwarded(port)}` }
      statuses.push((await postByHand(app.url, message('tools/list'), headers)).status)
    }
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429])
  })
})
