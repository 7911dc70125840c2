/** What one user, one address or one network can take of a gateway that others use, too. */

import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { ARGON2_PARAMETERS } from '../../src/crypto/passwords.ts'
import { bearer, MODERN, message, modern, post, toolCall } from '../http/posting.ts'
import { personalToken, signUp } from '../support/signed-up.ts'
import { eras, startApp, type TestApp, type TestUser } from '../support/start-app.ts'

const MAX_CALLS = 3
const MAX_BODY_BYTES = 8 * 1024 * 1024
const LONG = 'x'.repeat(257)
const FITTING = 'x'.repeat(256)

let app: TestApp
let user: TestUser
let other: TestUser

beforeAll(async () => {
  app = await startApp({
    kind: 'embedded',
    claude: { chunkSize: 4, chunkDelayMs: 50 },
    env: {
      CONCURRENT_CALLS_PER_USER: String(MAX_CALLS),
      MAX_BODY_BYTES: String(MAX_BODY_BYTES),
      TRUST_PROXY: '1',
    },
  })
  ;[user, other] = [await app.register(), await app.register()]
})
afterAll(() => app.close())

describe('what an answer repeats', () => {
  const call = (changes: object) => ({ ...toolCall('health_check'), ...changes })
  const withMeta = (meta: object) =>
    message('tools/call', { name: 'claude-api-gateway_health_check', arguments: {}, _meta: meta })

  test.each<[string, object, number]>([
    ['id', call({ id: LONG }), -32600],
    ['method', message(LONG), -32600],
    ['params.name', message('tools/call', { name: LONG }), -32602],
    ['params.uri', message('resources/read', { uri: LONG }), -32602],
    ['params.cursor', message('tools/list', { cursor: LONG }), -32602],
    ['params.requestId', message('notifications/cancelled', { requestId: LONG }), -32602],
    ['params.protocolVersion', message('initialize', { protocolVersion: LONG }), -32602],
    ['params.clientInfo.name', message('initialize', { clientInfo: { name: LONG } }), -32602],
    ['params._meta.progressToken', withMeta({ progressToken: LONG }), -32602],
  ])('is refused by name when it is too long: %s', async (name, body, code) => {
    const { params = {} } = body as { params?: { _meta?: object } }
    const isModern = modern(body as { method: string; params?: object }).body
    const _meta = { ...isModern.params._meta, ...params._meta }
    const inModern = { ...isModern, params: { ...isModern.params, _meta } }
    const ways: [object, Record<string, string>][] = [
      [body, {}],
      [body, { 'content-type': 'application/json; charset=utf-8' }],
      [inModern, { 'mcp-protocol-version': MODERN }],
    ]
    for (const [sent, headers] of ways) {
      const answer = await post(app.url, sent, { ...bearer(user.accessToken), ...headers })
      expect(answer).toMatchObject({ status: 400, json: { jsonrpc: '2.0', error: { code } } })
      expect(answer.json.error.message).toContain(name.split('.').at(-1))
      expect(answer.text).not.toContain(LONG)
    }
  })

  test('is repeated when it fits', async () => {
    const body = { ...withMeta({ progressToken: FITTING }), id: FITTING }
    const { status, json } = await post(app.url, body, bearer(user.accessToken))
    expect([status, json.id]).toEqual([200, FITTING])
  })

  test('is shortened when it is the name of an argument', async () => {
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`${i}${LONG}`, 1]))
    const { json, text } = await post(app.url, toolCall('health_check', many))
    expect(json.result.structuredContent.error).toMatchObject({ code: 'invalid_input' })
    expect(text.length).toBeLessThan(20_000)
  })
})

describe('a body', () => {
  const padded = (bytes: number) => message('ping', { filler: 'x'.repeat(bytes) })

  test('without a token is small, and is told how it may be larger', async () => {
    expect((await post(app.url, padded(200_000))).status).toBe(200)
    const { status, json } = await post(app.url, padded(300_000))
    expect([status, json.error.code]).toEqual([413, -32600])
    expect(json.error.message).toContain('Authorization')
    expect((await post(app.url, padded(3_000_000), bearer(user.accessToken))).status).toBe(200)
  })

  describe('that is held back', () => {
    const sockets: Socket[] = []
    afterEach(() => {
      for (const socket of sockets.splice(0)) socket.destroy()
    })
    /** Announces a body and sends nothing of it. @returns the status, if it is answered all the same. */
    function announce(from: string, bytes: number | 'chunked', token: string) {
      const length = bytes === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes}`
      const socket = connect(Number(new URL(app.baseUrl).port), '127.0.0.1')
      sockets.push(socket)
      socket.write(
        `POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: ${from}\r\nContent-Type: application/json\r\nAuthorization: Bearer ${token}\r\n${length}\r\n\r\n`,
      )
      let answer = ''
      socket.on('data', (piece) => {
        answer += piece
      })
      return { statusSoFar: () => /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] }
    }
    const madeUp = `${'a'.repeat(20)}.${'b'.repeat(20)}.${'c'.repeat(86)}`

    test('leaves room for other addresses, and for users of the same one', async () => {
      const held = Array.from({ length: 30 }, () =>
        announce('198.51.100.1', MAX_BODY_BYTES, madeUp),
      )
      await expect
        .poll(() => held.filter((one) => one.statusSoFar() === '429').length)
        .toBeGreaterThan(10)
      expect(held.some((one) => one.statusSoFar() === undefined)).toBe(true)
      const from = (address: string, more = {}) =>
        post(app.url, padded(1_000_000), { 'x-forwarded-for': address, ...more })
      const stranger = { authorization: `Bearer ${madeUp}` }
      expect((await from('198.51.100.1', stranger)).json.error).toMatchObject({
        data: { code: 'rate_limited', retry_after_seconds: 1 },
      })
      expect((await from('198.51.100.2', stranger)).status).toBe(401)
      expect((await from('198.51.100.1', bearer(user.accessToken))).status).toBe(200)
    })

    test('is given back when its connection ends', async () => {
      const held = Array.from({ length: 30 }, () =>
        announce('198.51.100.3', MAX_BODY_BYTES, madeUp),
      )
      await expect.poll(() => held.some((one) => one.statusSoFar() === '429')).toBe(true)
      for (const socket of sockets.splice(0)) socket.destroy()
      const stranger = { authorization: `Bearer ${madeUp}`, 'x-forwarded-for': '198.51.100.3' }
      const freed = async () => (await post(app.url, padded(1_000_000), stranger)).status
      await expect.poll(freed).toBe(401)
    })
  })
})

describe('answers under way', () => {
  const slow = { message: Array(40).fill('many words').join(' ') }

  test.each(eras)('are so many at most of one user, and others’ go on (%s era)', async (era) => {
    const [mine, theirs] = [
      await app.connect(era, user.accessToken),
      await app.connect(era, other.accessToken),
    ]
    const codeOf = (answer: Awaited<ReturnType<typeof mine.call>>) =>
      answer.structured.error?.code ?? answer.structured.data.status
    const calls = Array.from({ length: MAX_CALLS + 2 }, () => mine.call('send_message', slow))
    const answers = await Promise.all([...calls, theirs.call('send_message', slow)])
    expect(answers.map(codeOf).sort()).toEqual([
      ...Array(MAX_CALLS + 1).fill('complete'),
      'rate_limited',
      'rate_limited',
    ])
    const again = await mine.call('send_message', { message: 'once more' })
    expect(codeOf(again)).toBe('complete')
  })

  test('are counted also when their callers are gone', async () => {
    const send = () =>
      post(
        app.url,
        toolCall('send_message', { ...slow, wait_seconds: 0 }),
        bearer(other.accessToken),
      )
    const first = await Promise.all(Array.from({ length: MAX_CALLS }, send))
    const statuses = first.map(({ json }) => json.result.structuredContent.data?.status)
    expect(statuses).toEqual(Array(MAX_CALLS).fill('running'))
    const { json } = await send()
    expect(json.result.structuredContent.error).toMatchObject({
      code: 'rate_limited',
      retryable: true,
      retry_after_seconds: 5,
    })
    const free = async () => (await send()).json.result.structuredContent.success
    await expect.poll(free).toBe(true)
  })
})

test('of exports that nobody reads two are begun for one user', async () => {
  const { caller } = await signUp(app)
  const { services } = app.app
  const open = () => services.exports.stream(caller)[Symbol.asyncIterator]()
  const [one, two, three] = [open(), open(), open()]
  await one.next()
  await two.next()
  await expect(three.next()).rejects.toMatchObject({ code: 'rate_limited', retryAfterSeconds: 30 })
  await one.return?.()
  const four = open()
  expect((await four.next()).done).toBe(false)
  await four.return?.()
  await two.return?.()
  const { token } = await personalToken(app, caller)
  const answer = await fetch(`${app.baseUrl}/account/export`, { headers: bearer(token) })
  expect(((await answer.json()) as { user: { username: string } }).user.username).toBe(
    caller.username,
  )
})

test('a network that floods sign-ins waits for itself', async () => {
  // Hashes take longer than the database here, as they do in a real gateway.
  const cheap = { ...ARGON2_PARAMETERS }
  Object.assign(ARGON2_PARAMETERS, { memoryCost: 8192, timeCost: 2 })
  onTestFinished(() => void Object.assign(ARGON2_PARAMETERS, cheap))
  const signIn = (from: string, username: string, password: string) =>
    post(app.url, toolCall('authenticate_user', { username, password }), {
      'x-forwarded-for': from,
    })
  let over = 0
  const flood = Array.from({ length: 600 }, (_, i) =>
    signIn(`203.0.113.${i % 250}`, `nobody-${i}`, 'wrong').then(() => {
      over += 1
    }),
  )
  await expect.poll(() => over).toBeGreaterThan(0)
  const { json } = await signIn('198.51.100.9', user.username, user.password)
  expect(json.result.structuredContent.success).toBe(true)
  expect(over).toBeLessThan(flood.length)
  await Promise.all(flood)
})
