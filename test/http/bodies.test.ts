/** Hostile and broken requests: each is refused in JSON-RPC, and none is quoted. */

import { buffer } from 'node:stream/consumers'
import { createGzip, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../support/start-app.ts'
import { type Answered, message, post, postByHand, toolCall } from './posting.ts'

const MAX_BODY_BYTES = 20_000
const MAX_ELEMENTS = 200
/** Stands in every body; must stand in no answer and in no log line. */
const SECRET = 'sk-ant-api03-in-the-body'

let app: TestApp
beforeAll(async () => {
  app = await startApp({
    kind: 'embedded',
    env: {
      MAX_BODY_BYTES: String(MAX_BODY_BYTES),
      MAX_TOOL_INPUT_ELEMENTS: String(MAX_ELEMENTS),
    },
  })
})
afterAll(() => app.close())

/** A JSON-RPC error with a message for people, that quotes nothing. */
function expectRefusal(answer: Answered, status: number, code: number): void {
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
  expect(answer).toMatchObject({ status, json: { jsonrpc: '2.0', error: { code } } })
  expect(answer.json.error.message).toMatch(/\w+ \w+/)
  expect(answer.text).not.toContain('<')
  expectUnquoted(answer)
}

/** Not even its beginning: parsers quote a few characters. */
function expectUnquoted({ text }: Answered): void {
  expect(text).not.toContain(SECRET.slice(0, 6))
  expect(app.logLines.join('')).not.toContain(SECRET.slice(0, 6))
}

describe('methods', () => {
  test.each(['GET', 'DELETE', 'PUT', 'PATCH'])(
    '%s is 405, and says what is allowed',
    async (method) => {
      const answer = await postByHand(app.url, { SECRET }, {}, method)
      expectRefusal(answer, 405, -32000)
      expect(answer.headers.get('allow')).toBe('POST')
    },
  )
})

describe('content types', () => {
  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/html',
    'application/jsonp',
    '',
  ])('%o is 415', async (type) => {
    expectRefusal(await post(app.url, `{"a":"${SECRET}"}`, { 'content-type': type }), 415, -32600)
  })

  test('a charset other than Unicode is 415', async () => {
    const type = 'application/json; charset=koi8-r'
    expectRefusal(await post(app.url, `{"a":"${SECRET}"}`, { 'content-type': type }), 415, -32600)
  })

  test('parameters and capitals do not matter', async () => {
    const type = 'Application/JSON; charset=UTF-8'
    expect((await post(app.url, message('tools/list'), { 'content-type': type })).status).toBe(200)
  })

  test('Accept of nothing that MCP answers in gets a JSON-RPC answer', async () => {
    const answer = await post(app.url, message('tools/list'), { accept: 'text/html' })
    expectRefusal(answer, 406, -32000)
  })
})

describe('size', () => {
  const filled = (bytes: number) => {
    const [head = '', tail = ''] = JSON.stringify(message('ping', { filler: '~' })).split('~')
    return head + 'x'.repeat(bytes - head.length - tail.length) + tail
  }

  test('as many bytes as MAX_BODY_BYTES pass, one more is 413', async () => {
    expect((await post(app.url, filled(MAX_BODY_BYTES))).status).toBe(200)
    const refused = await post(app.url, filled(MAX_BODY_BYTES + 1))
    expectRefusal(refused, 413, -32600)
    expect(refused.json.error.message).toMatch(
      new RegExp(`at most ${MAX_BODY_BYTES} bytes.*MAX_BODY_BYTES`),
    )
  })

  test('a body without a length is counted as it comes', async () => {
    const chunks = [SECRET, 'x'.repeat(MAX_BODY_BYTES)]
    const body = new ReadableStream({
      pull(controller) {
        const chunk = chunks.shift()
        if (chunk === undefined) controller.close()
        else controller.enqueue(new TextEncoder().encode(chunk))
      },
    })
    const init = {
      method: 'POST',
      body,
      duplex: 'half',
      headers: { 'content-type': 'application/json' },
    }
    const response = await fetch(app.url, init as RequestInit)
    expect(response.status).toBe(413)
    expect(await response.json()).toMatchObject({ jsonrpc: '2.0', error: { code: -32600 } })
  })

  test('a gzip bomb is 413 by what it unpacks to', async () => {
    const gzip = createGzip()
    for (let i = 0; i < 50; i++) gzip.write(Buffer.alloc(1_000_000, 0x20))
    gzip.end(SECRET)
    const bomb = await buffer(gzip)
    expect(bomb.length).toBeGreaterThan(MAX_BODY_BYTES)
    const small = gzipSync(' '.repeat(10 * MAX_BODY_BYTES))
    expect(small.length).toBeLessThan(MAX_BODY_BYTES)
    for (const body of [bomb, small]) {
      expectRefusal(await post(app.url, body, { 'content-encoding': 'gzip' }), 413, -32600)
    }
  })

  test('an honest gzip body is read', async () => {
    const body = gzipSync(JSON.stringify(message('tools/list')))
    expect((await post(app.url, body, { 'content-encoding': 'gzip' })).status).toBe(200)
  })
})

describe('what is no message', () => {
  test.each([
    ['half an object', `{"jsonrpc":"2.0","id":1,"method":"${SECRET}`],
    ['a bare word', SECRET],
    ['a key in the wrong place', `{"a": ${SECRET}}`],
    ['a trailing comma', `{"a":"${SECRET}",}`],
    ['two messages', `{"a":"${SECRET}"}{}`],
    ['HTML', `<script>${SECRET}</script>`],
    ['a NUL', `\0"${SECRET}"`],
  ])('%s is a parse error', async (_name, body) => {
    expectRefusal(await post(app.url, body), 400, -32700)
  })

  test('bytes that are not what Content-Encoding says are 400', async () => {
    for (const encoding of ['gzip', 'deflate', 'br']) {
      expectRefusal(await post(app.url, SECRET, { 'content-encoding': encoding }), 400, -32600)
    }
    expectRefusal(await post(app.url, SECRET, { 'content-encoding': 'compress' }), 415, -32600)
  })

  test.each(['1', 'null', 'true', `"${SECRET}"`, '[]', `["${SECRET}"]`, '[1,2]'])(
    '%s is an invalid request',
    async (body) => expectRefusal(await post(app.url, body), 400, -32600),
  )

  test('a batch is refused whole, also one of good messages', async () => {
    const batch = [message('tools/list'), toolCall('health_check'), { SECRET }]
    for (const body of [batch, batch.slice(0, 1)]) {
      const answer = await post(app.url, body)
      expectRefusal(answer, 400, -32600)
      expect(answer.json.error.message).toContain('Batches')
    }
  })

  test.each([
    ['no members', {}],
    ['another protocol', { ...message('tools/list'), jsonrpc: '1.0', SECRET }],
    ['a method that is a number', { jsonrpc: '2.0', id: 1, method: 7, params: { SECRET } }],
    ['params that are text', { ...message('tools/call'), params: SECRET }],
    ['params that are a list', { ...message('tools/call'), params: [SECRET] }],
    ['params that are null', { ...message('tools/call'), params: null }],
    ['an id that is an object', { ...message('tools/list'), id: { SECRET } }],
  ])('an object with %s is an invalid request', async (_name, body) => {
    expectRefusal(await post(app.url, body), 400, -32600)
  })
})

describe('arguments', () => {
  const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  const withArguments = (json: string) =>
    JSON.stringify(toolCall('health_check', '~')).replace('"~"', json)

  test.each([
    ['nested deeply', nested(MAX_ELEMENTS + 1)],
    ['wide', JSON.stringify({ a: Array(MAX_ELEMENTS).fill(0) })],
    ['many', JSON.stringify(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [i, 0])))],
  ])('too many values, %s, are a tool error', async (_name, args) => {
    const { status, json } = await post(app.url, withArguments(args))
    expect(status).toBe(200)
    expect(json.result).toMatchObject({
      isError: true,
      structuredContent: { success: false, error: { code: 'invalid_input', retryable: false } },
    })
    expect(json.result.structuredContent.error.message).toContain(`more than ${MAX_ELEMENTS}`)
  })

  test('as many as allowed get as far as the schema', async () => {
    const { json } = await post(app.url, withArguments(nested(MAX_ELEMENTS)))
    expect(json.result.structuredContent.error.message).not.toContain('more than')
  })

  test.each([
    ['a list', [SECRET]],
    ['text', SECRET],
    ['null', null],
    ['a number', 5],
  ])('%s instead of an object is an error, and is not quoted', async (_name, args) => {
    const answer = await post(app.url, toolCall('health_check', args))
    expect(answer.json.error ?? answer.json.result).toBeTruthy()
    expect(answer.json.result?.isError ?? true).toBe(true)
    expectUnquoted(answer)
  })

  test('a wrong value is named by its field, and not quoted', async () => {
    const answer = await post(
      app.url,
      toolCall('register_user', {
        username: SECRET.repeat(9),
        email: SECRET,
        anthropic_api_key: 1,
      }),
    )
    const { error } = answer.json.result.structuredContent
    expect(error.code).toBe('invalid_input')
    expect(error.details.fields.sort()).toEqual(['anthropic_api_key', 'email', 'username'])
    expectUnquoted(answer)
  })
})

describe('prototypes', () => {
  const own = '"__proto__":{"polluted":"yes","isAdmin":true}'

  test.each([
    ['in the message', `{${own},"jsonrpc":"2.0","id":1,"method":"tools/list"}`],
    ['in params', `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{${own}}}`],
    [
      'in arguments',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"claude-api-gateway_health_check","arguments":{${own}}}}`,
    ],
    [
      'as constructor',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"claude-api-gateway_health_check","arguments":{"constructor":{"prototype":{"polluted":1}}}}}',
    ],
  ])('stay as they are with __proto__ %s', async (_name, body) => {
    const { status, json } = await post(app.url, body)
    expect(status).toBeOneOf([200, 400])
    expect(json.jsonrpc).toBe('2.0')
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    expect(({} as { isAdmin?: unknown }).isAdmin).toBeUndefined()
  })

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    '%s is no tool',
    async (name) => {
      const { json } = await post(app.url, message('tools/call', { name, arguments: {} }))
      expect(json.error.code).toBe(-32602)
    },
  )
})

test('after all that the gateway is well', async () => {
  const { json } = await post(app.url, toolCall('health_check'))
  expect(json.result.structuredContent.data.status).toBe('healthy')
  const levels = app.logLines.map((line) => JSON.parse(line).level)
  expect(levels).not.toContain('error')
})
