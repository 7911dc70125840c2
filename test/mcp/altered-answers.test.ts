/** What proxies, firewalls and wrong addresses make of Claude's answers: read, or told from them, and never paid twice. */

import zlib from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Answer, type Deed, passOn, says, startBetween } from '../support/between.ts'
import { startConnectProxy } from '../support/connect-proxy.ts'
import { describeDatabases } from '../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../support/start-app.ts'

const ALL_DAYS = { from: '2000-01-01', to: '2999-12-31' }
const PAGE = '<!doctype html><title>Sign in to this network</title>'

const { zstdCompressSync } = zlib as { zstdCompressSync?: (body: Buffer) => Buffer }
const CODERS: [string, (body: Buffer) => Buffer][] = [
  ['gzip', zlib.gzipSync],
  ['X-GZIP', zlib.gzipSync],
  ['br', zlib.brotliCompressSync],
  ['deflate', zlib.deflateSync],
  ['gzip, br', (body) => zlib.brotliCompressSync(zlib.gzipSync(body))],
  ...(zstdCompressSync === undefined
    ? []
    : [['zstd', zstdCompressSync] as (typeof CODERS)[number]]),
]

const coded =
  (coding: string, encode: (body: Buffer) => Buffer): Deed =>
  ({ headers, body, ...rest }, res) =>
    passOn(
      { ...rest, headers: { ...headers, 'content-encoding': coding }, body: encode(body) },
      res,
    )

const withBody =
  (change: (body: string) => string): Deed =>
  ({ body, ...rest }, res) =>
    passOn({ ...rest, body: Buffer.from(change(body.toString())) }, res)

describeDatabases('an answer that was changed on its way', (kind) => {
  let app: TestApp
  let between: Awaited<ReturnType<typeof startBetween>>
  let user: TestUser
  let client: TestClient

  beforeAll(async () => {
    between = await startBetween(() => app.claude.url)
    app = await startApp({ kind, env: { ANTHROPIC_BASE_URL: between.url } })
  })
  beforeEach(async () => {
    user = await app.register()
    client = await app.connect('legacy', user.accessToken)
  })
  afterEach(() => {
    between.does()
    between.asked.length = 0
    app.claude.reset()
  })
  afterAll(async () => {
    await app.close()
    await between.close()
  })

  const send = async (more: Record<string, unknown> = {}) =>
    (await client.call('send_message', { message: 'Grüße an Claude', ...more })).structured
  const rows = async () =>
    (await app.app.repositories.ledger.list(ALL_DAYS, '0', 10_000)).filter(
      ({ userId }) => userId === user.userId,
    )
  const expectWhole = async () => {
    expect(await send()).toMatchObject({
      success: true,
      data: { status: 'complete', content: 'Grüße an Claude' },
    })
    const billed = app.claude.billed(user.apiKey)
    expect(await rows()).toMatchObject([
      { inputTokens: billed.inputTokens, outputTokens: billed.outputTokens, estimated: null },
    ])
  }
  /** Nothing is booked, and the key sends again, once the way is free. */
  const expectFree = async (error: Record<string, unknown>) => {
    const key = { idempotency_key: 'the-only-one' }
    const failed = await send(key)
    expect(failed).toMatchObject({ success: false, error })
    expect(await rows()).toEqual([])
    between.does()
    expect(await send(key)).toMatchObject({
      success: true,
      data: { status: 'complete', replayed: false },
    })
    expect(await rows()).toHaveLength(1)
  }

  test('nothing compressed is asked for', async () => {
    await expectWhole()
    const { headers } = between.asked.find(({ path }) => path === '/v1/messages') ?? {}
    expect(headers?.['accept-encoding']).toBe('identity')
    expect(headers?.['user-agent']).toMatch(/^claude-api-gateway\/\d+\.\d+\.\d+$/)
  })

  test.each(CODERS)('compressed by %s it is read all the same', async (coding, encode) => {
    between.does(coded(coding, encode))
    await expectWhole()
  })

  test('a compressed error is read all the same', async () => {
    between.does(coded('gzip', zlib.gzipSync))
    app.claude.script({ kind: 'status', status: 400, message: 'prompt is too long: 2 tokens > 1' })
    expect(await send()).toMatchObject({ error: { code: 'context_too_long' } })
  })

  test('in a coding that nobody here knows it is booked, and not asked for again', async () => {
    between.does(coded('compress', (body) => body))
    const key = { idempotency_key: 'coded' }
    expect(await send(key)).toMatchObject({
      error: {
        code: 'upstream_unavailable',
        retryable: false,
        message: expect.stringContaining('HTTPS_PROXY'),
      },
    })
    expect(await rows()).toMatchObject([{ estimated: 'stream_broken' }])
    expect(app.claude.messageRequests()).toHaveLength(1)
    between.does()
    expect(await send(key)).toMatchObject({ success: false })
    expect(app.claude.messageRequests()).toHaveLength(1)
  })

  test('a few bytes that unfold to more than any answer has are not unfolded', async () => {
    const flood = `: ${'a'.repeat(98)}\n`.repeat(180_000)
    const bomb = zlib.gzipSync(flood)
    expect(bomb.length).toBeLessThan(100_000)
    between.does(coded('gzip', (body) => Buffer.concat([bomb, zlib.gzipSync(body)])))
    expect(await send({ max_tokens: 16 })).toMatchObject({
      error: { code: 'upstream_unavailable' },
    })
    expect(await rows()).toMatchObject([{ estimated: 'stream_broken' }])
  })

  test('of an error 64 KB are read, also of one that never ends', async () => {
    const error = { type: 'invalid_request_error', message: 'messages: odd' }
    const body = (pad: number) => JSON.stringify({ type: 'error', error, pad: 'a'.repeat(pad) })
    between.does(says(400, body(60_000), { 'content-type': 'application/json' }))
    expect(await send()).toMatchObject({ error: { code: 'upstream_invalid_request' } })
    const bomb = zlib.gzipSync(body(20_000_000))
    between.does((_answer, res) => res.writeHead(400, { 'content-encoding': 'gzip' }).end(bomb))
    expect(await send()).toMatchObject({
      error: { code: 'upstream_unavailable', details: { upstream_status: 400 } },
    })
    const before = between.closed()
    between.does((_answer, res) => void res.writeHead(400).write(PAGE.repeat(2000)))
    expect(await send()).toMatchObject({ error: { code: 'upstream_unavailable' } })
    await expect.poll(between.closed).toBe(before + 1)
    between.does((_answer, res) => void res.writeHead(400).write(body(0)))
    expect(await send()).toMatchObject({ error: { code: 'upstream_invalid_request' } })
    expect(await rows()).toEqual([])
  })

  test.each<[string, (body: Buffer) => Buffer]>([
    ['as it came', (body) => body],
    ['compressed', (body) => zlib.gzipSync(body, { finishFlush: zlib.constants.Z_SYNC_FLUSH })],
  ])('message_stop ends it, though the connection stays open: %s', async (name, encode) => {
    const coding = name === 'compressed' ? { 'content-encoding': 'gzip' } : {}
    between.does(({ status, headers, body }, res) => {
      res.writeHead(status, { ...headers, ...coding }).write(encode(body))
    })
    const before = between.closed()
    await expectWhole()
    // Nobody waits for the end of the connection, which is not kept for long either.
    await expect.poll(between.closed).toBe(before + 1)
  })

  test('lone returns and a byte order mark are read', async () => {
    between.does(withBody((body) => `\ufeff${body.replaceAll('\n', '\r')}`))
    await expectWhole()
  })

  test.each<[number, string, boolean]>([
    [302, 'ANTHROPIC_BASE_URL', false],
    [400, 'ANTHROPIC_BASE_URL', false],
    [401, 'HTTPS_PROXY', false],
    [403, 'HTTPS_PROXY', false],
    [404, 'ANTHROPIC_BASE_URL', false],
    [407, 'HTTPS_PROXY', false],
    [451, 'HTTPS_PROXY', false],
    [429, 'HTTPS_PROXY', true],
    [502, 'HTTPS_PROXY', true],
  ])(
    '%i by somebody else names %s, costs nothing and leaves the key free',
    async (status, setting, retryable) => {
      between.does(says(status, PAGE))
      await expectFree({
        code: 'upstream_unavailable',
        retryable,
        message: expect.stringContaining(setting),
        details: { upstream_status: status, upstream_content_type: 'text/html' },
      })
    },
  )

  test.each<[string, string]>([
    ['text/html; charset=utf-8', PAGE],
    ['application/json', '{"status":"ok"}'],
    ['application/json', '{"object":"chat.completion","choices":[]}'],
    ['text/plain', 'OK'],
    ['text/html', ''],
  ])('200 with %s that is no answer costs nothing and leaves the key free', async (type, body) => {
    between.does(says(200, body, { 'content-type': type }))
    await expectFree({
      code: 'upstream_unavailable',
      retryable: false,
      message: expect.stringMatching(/not Claude.*HTTPS_PROXY.*ANTHROPIC_BASE_URL/),
    })
  })

  test('413 by somebody else is a matter of size', async () => {
    between.does(says(413, PAGE))
    await expectFree({ code: 'request_too_large', message: expect.stringContaining('proxy') })
  })

  test('an error of Anthropic’s stays one, whatever its status has become', async () => {
    const error = { type: 'overloaded_error', message: 'Overloaded' }
    const json = { 'content-type': 'application/json', 'x-should-retry': 'false' }
    between.does(says(200, JSON.stringify({ type: 'error', error }), json))
    await expectFree({ code: 'upstream_unavailable', details: { upstream_type: error.type } })
  })

  test.each<[string, (answer: Answer) => [string, string]]>([
    [
      'all at once',
      () => ['application/json', '{"id":"msg_1","type":"message","role":"assistant","content":[]}'],
    ],
    ['as a stream by another name', ({ body }) => ['text/plain', body.toString()]],
  ])('an answer that came %s is booked, and not asked for again', async (_, change) => {
    between.does((answer, res) => {
      const [type, body] = change(answer)
      says(200, body, { 'content-type': type })(answer, res)
    })
    const key = { idempotency_key: 'whole' }
    const error = { code: 'upstream_unavailable', retryable: false }
    expect(await send(key)).toMatchObject({ error })
    expect(await rows()).toMatchObject([{ estimated: 'stream_broken' }])
    between.does()
    expect(await send(key)).toMatchObject({ success: false })
    expect(app.claude.messageRequests()).toHaveLength(1)
  })

  test('no key is proven, or called bad, by somebody else', async () => {
    const anonymous = await app.connect('legacy')
    const register = async (username: string) => {
      const email = `${username}@example.com`
      const more = { email, anthropic_api_key: 'sk-ant-api03-of-somebody-new' }
      return (await anonymous.call('register_user', { username, ...more })).structured
    }
    for (const [status, setting] of [
      [200, 'HTTPS_PROXY'],
      [401, 'HTTPS_PROXY'],
      [403, 'HTTPS_PROXY'],
      [404, 'ANTHROPIC_BASE_URL'],
      [407, 'HTTPS_PROXY'],
    ] as const) {
      between.does(says(status, PAGE))
      expect(await register(`somebody-${kind}-${status}`)).toMatchObject({
        error: { code: 'upstream_unavailable', message: expect.stringContaining(setting) },
      })
    }
  })

  test('what is not Claude does not count as having reached it', async () => {
    await send()
    between.does(says(403, PAGE))
    await send()
    const { structured } = await client.call('health_check')
    expect(JSON.stringify(structured)).toContain('unreachable')
  })
})

describeDatabases('a proxy on the way', (kind) => {
  test('refusing, it costs nothing and leaves the key free', async () => {
    let isOpen = false
    const proxy = await startConnectProxy(() =>
      isOpen ? { port: Number(new URL(app.claude.url).port) } : { status: 407 },
    )
    const env = {
      ANTHROPIC_BASE_URL: 'http://claude.example',
      HTTP_PROXY: proxy.url,
      VALIDATE_API_KEYS: 'false',
    }
    const app: TestApp = await startApp({ kind, env })
    const user = await app.register()
    const client = await app.connect('legacy', user.accessToken)
    const send = async () => {
      const args = { message: 'Hello.', idempotency_key: 'once' }
      return (await client.call('send_message', args)).structured
    }
    expect(await send()).toMatchObject({
      error: { code: 'upstream_unavailable', message: expect.stringContaining('HTTPS_PROXY') },
    })
    expect(await app.app.repositories.ledger.list(ALL_DAYS, '0', 10)).toEqual([])
    isOpen = true
    expect(await send()).toMatchObject({ data: { status: 'complete', replayed: false } })
    expect(await app.app.repositories.ledger.list(ALL_DAYS, '0', 10)).toHaveLength(1)
    await app.close()
    await proxy.close()
  })
})
