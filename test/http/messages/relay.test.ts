/** What passes through, byte for byte, and how an exchange ends: seen at the calls that are free. */

import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type ApiUser, apiUser } from '../../support/api-user.ts'
import { openRequest, rawRequest } from '../../support/raw-request.ts'
import { type ScriptedApp, startScriptedApp } from '../../support/scripted-app.ts'

let { origin, app, close } = {} as ScriptedApp
let user: ApiUser
beforeAll(async () => {
  ;({ origin, app, close } = await startScriptedApp('embedded'))
  user = await apiUser(app)
})
afterAll(() => close())
beforeEach(() => void origin.asked.splice(0))

const path = '/v1/messages/count_tokens'
const own = () => ({ 'x-api-key': user.token })
const BODY =
  '{"model" : "claude-opus-5-5",\n "messages":[{"role":"user","content":"\\u00e9 \\/ 1e2"}], "n":12345678901234567890}'
const count = (body: Buffer | string = BODY, headers: Record<string, string> = {}) =>
  rawRequest(app.baseUrl, { path, body, headers: { ...own(), ...headers } })

describe('a request', () => {
  test('arrives with the bytes of its body, and its headers minus those that stay here', async () => {
    origin.script((res) => void res.end('{}'))
    const headers = [
      ...['Authorization', `Bearer ${user.token}`],
      ...['X-Api-Key', user.token],
      ...['anthropic-beta', 'a-2026-01-01'],
      ...['Anthropic-Beta', 'b-2026-01-01,c-2026-01-01'],
      ...['X-Claude-Code-Session-Id', 'session'],
      ...['x-gateway-tag', 'blue'],
      ...['Cookie', 'a=b'],
      ...['X-Forwarded-For', '10.0.0.1'],
      ...['content-type', 'application/json'],
    ]
    await rawRequest(app.baseUrl, { path: `${path}?beta=true&x=%20`, headers, body: BODY })
    const [asked] = origin.asked
    expect(asked?.body.toString()).toBe(BODY)
    expect(asked?.url).toBe(`${path}?beta=true&x=%20`)
    const { host, connection, ...rest } = asked?.headers ?? {}
    expect(rest).toEqual({
      authorization: `Bearer ${user.apiKey}`,
      'anthropic-beta': 'a-2026-01-01,b-2026-01-01,c-2026-01-01',
      'x-claude-code-session-id': 'session',
      'content-type': 'application/json',
      'accept-encoding': 'identity',
      'content-length': String(BODY.length),
    })
    expect(JSON.stringify(asked?.rawHeaders)).not.toContain(user.token)
  })

  test.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('in %s is sent on decoded', async (coding, encode) => {
    origin.script((res) => void res.end('{}'))
    expect(await count(encode(BODY), { 'content-encoding': coding })).toMatchObject({ status: 200 })
    expect(origin.asked[0]?.body.toString()).toBe(BODY)
    expect(origin.asked[0]?.headers['content-encoding']).toBeUndefined()
  })

  test.each([
    ['{"model":"m","model":"n"}', {}, 400, 'invalid_request_error', /twice/],
    ['{"model":"m",}', {}, 400, 'invalid_request_error', /not valid JSON/],
    ['\ufeff{"model":"m"}', {}, 400, 'invalid_request_error', /byte order mark/],
    ['', {}, 400, 'invalid_request_error', /not valid JSON/],
    [BODY, { 'content-encoding': 'compress' }, 400, 'invalid_request_error', /gzip/],
    [BODY, { 'content-encoding': 'gzip' }, 400, 'invalid_request_error', /cannot be decoded/],
  ])('that cannot be read is refused: %s %j', async (body, headers, status, type, message) => {
    const answer = await count(body, headers as Record<string, string>)
    expect(answer).toMatchObject({
      status,
      json: { error: { type, message: expect.stringMatching(message) } },
    })
    expect(answer.headers['x-should-retry']).toBe('false')
    expect(origin.asked).toHaveLength(0)
  })

  test('may have 32 MiB, and not a byte more, however it is sent', async () => {
    const most = 32 * 1024 * 1024
    const ends = '{"model":"m","messages":[{"role":"user","content":""}]}'
    const sized = (bytes: number) =>
      Buffer.from(ends.replace('""', `"${'x'.repeat(bytes - ends.length)}"`))
    origin.script((res) => void res.end('{}'))
    expect(await count(sized(most))).toMatchObject({ status: 200 })
    expect(origin.asked[0]?.body).toHaveLength(most)
    const tooLarge = { status: 413, json: { error: { type: 'request_too_large' } } }
    expect(await count(sized(most + 1))).toMatchObject(tooLarge)
    expect(await count(sized(most + 1), { 'transfer-encoding': 'chunked' })).toMatchObject(tooLarge)
    const bomb = gzipSync(Buffer.alloc(most + 1, 0x20))
    expect(bomb.length).toBeLessThan(100_000)
    expect(await count(bomb, { 'content-encoding': 'gzip' })).toMatchObject(tooLarge)
    expect(origin.asked).toHaveLength(1)
  })

  test('waits with its body until its token was found good', async () => {
    const { port } = new URL(app.baseUrl)
    const ask = async (token: string) => {
      const headers = {
        'x-api-key': token,
        expect: '100-continue',
        'content-length': String(BODY.length),
      }
      const req = request({ port, path, method: 'POST', headers, agent: false })
      let isContinued = false
      req.on('continue', () => {
        isContinued = true
        req.end(BODY)
      })
      req.flushHeaders()
      const [res] = await once(req, 'response')
      res.resume()
      req.destroy()
      return { status: res.statusCode, isContinued }
    }
    origin.script((res) => void res.end('{}'))
    expect(await ask('cag_wrong')).toEqual({ status: 401, isContinued: false })
    expect(await ask(user.token)).toEqual({ status: 200, isContinued: true })
  })
})

test('a client of HTTP/1.0 gets one answer, and no word to go on', async () => {
  origin.script((res) => void res.end('{}'))
  const { port } = new URL(app.baseUrl)
  const socket = connect(Number(port), '127.0.0.1')
  const head = `POST ${path} HTTP/1.0\r\nHost: 127.0.0.1\r\nX-Api-Key: ${user.token}\r\n`
  socket.write(`${head}Expect: 100-continue\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`)
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 /)
})

describe('an answer', () => {
  test.each([
    [
      400,
      '{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 3 > 2"}}',
      {},
    ],
    [404, '{"type":"error"}', { 'x-should-retry': 'false' }],
    [413, '<html>Request Entity Too Large</html>', { 'content-type': 'text/html' }],
    [429, '{}', { 'retry-after': '7', 'anthropic-ratelimit-requests-remaining': '0' }],
    [529, '{"type":"error","error":{"type":"overloaded_error"}}', {}],
  ])('of status %s passes unchanged', async (status, body, headers) => {
    origin.script(
      (res) => void res.writeHead(status, { 'request-id': 'req_011', ...headers }).end(body),
    )
    const answer = await count()
    expect(answer.status).toBe(status)
    expect(answer.body.toString()).toBe(body)
    expect(answer.headers).toMatchObject({ 'request-id': 'req_011', ...headers })
    expect(answer.headers['x-gateway-request-id']).toMatch(/^req_cag_/)
  })

  test('that is compressed all the same stays so, with its header', async () => {
    const packed = gzipSync('{"input_tokens":5}')
    origin.script(
      (res) =>
        void res
          .writeHead(200, { 'content-encoding': 'gzip', 'set-cookie': 'a=b', server: 'cloudflare' })
          .end(packed),
    )
    const answer = await count()
    expect(answer.body).toEqual(packed)
    expect(answer.headers).toMatchObject({
      'content-encoding': 'gzip',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    expect(answer.headers['set-cookie']).toBeUndefined()
  })

  test('comes chunk by chunk: the first before the second was sent', async () => {
    let goOn = () => {}
    const first = Buffer.from('event: ping\ndata: {}\n\n: Gr\u00fc'.concat('\u00df'))
    origin.script(async (res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(first.subarray(0, -1))
      await new Promise<void>((resolve) => {
        goOn = resolve
      })
      res.end(first.subarray(-1))
    })
    const answer = await openRequest(app.baseUrl, { path, headers: own(), body: BODY })
    const [chunk] = await once(answer, 'data')
    expect(chunk).toEqual(first.subarray(0, -1))
    goOn()
    const [rest] = await once(answer, 'data')
    expect(rest).toEqual(first.subarray(-1))
  })

  test('that breaks off is broken off, and never looks whole', async () => {
    const cut = (res: import('node:http').ServerResponse) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: 1\n\n')
      setTimeout(() => res.destroy(), 50)
    }
    origin.script(cut)
    await expect(count()).rejects.toThrow()
  })

  test('that does not begin is 502', async () => {
    origin.script((res) => void res.destroy())
    expect(await count()).toMatchObject({ status: 502, json: { error: { type: 'api_error' } } })
  })

  test('of 401 is 403, since the token is good, and the stored key is marked', async () => {
    const marked = async () =>
      (await app.app.repositories.apiKeys.findStatus(user.userId))?.rejectedAt
    origin.script(
      (res) =>
        void res.writeHead(401, { 'request-id': 'req_012' }).end(`{"secret":"${user.apiKey}"}`),
      (res) => void res.end('{}'),
    )
    const answer = await count()
    expect(answer).toMatchObject({
      status: 403,
      headers: { 'request-id': 'req_012', 'x-should-retry': 'false' },
      json: {
        type: 'error',
        error: { type: 'permission_error', message: expect.stringContaining('/account/key') },
        request_id: 'req_012',
      },
    })
    expect(answer.body.toString()).not.toContain(user.apiKey)
    await expect.poll(marked).toBeInstanceOf(Date)
    await count()
    await expect.poll(marked).toBeNull()
  })

  test('is no longer wanted when the client leaves', async () => {
    let isClosed = false
    origin.script((res) => {
      res.on('close', () => {
        isClosed = true
      })
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: 1\n\n')
    })
    const answer = await openRequest(app.baseUrl, { path, headers: own(), body: BODY })
    await once(answer, 'data')
    answer.on('error', () => {})
    answer.destroy()
    await vi.waitUntil(() => isClosed, { timeout: 20_000, interval: 5 })
    await expect.poll(() => app.app.services.openCalls.count).toBe(0)
  })

  test('waits upstream while its reader is slow', async () => {
    const total = 64 * 1024 * 1024
    const piece = Buffer.alloc(64 * 1024, 0x61)
    let sent = 0
    origin.script(async (res) => {
      res.writeHead(200, { 'content-length': String(total) })
      while (sent < total && !res.destroyed) {
        sent += piece.length
        if (!res.write(piece)) await once(res, 'drain').catch(() => {})
      }
      res.end()
    })
    const answer = await openRequest(app.baseUrl, { path, headers: own(), body: BODY })
    answer.pause()
    let before = -1
    const standsStill = () => {
      const isStill = sent > 0 && sent === before
      before = sent
      return isStill
    }
    await vi.waitUntil(standsStill, { timeout: 60_000, interval: 200 })
    expect(sent).toBeLessThan(total / 2)
    // Which holds up no other.
    origin.script((res) => void res.end('{}'))
    expect(await count()).toMatchObject({ status: 200 })
    let received = 0
    for await (const chunk of answer) received += chunk.length
    expect(received).toBe(total)
  })
})

test('neither key nor token is in any log line', () => {
  const lines = app.logLines.join('')
  expect(lines).toContain('req_cag_')
  expect(lines).not.toContain(user.apiKey)
  expect(lines).not.toContain(user.token)
})
