/** The way to Anthropic through a proxy, as HTTPS_PROXY, HTTP_PROXY and NO_PROXY name it. */

import { afterEach, describe, expect, test, vi } from 'vitest'
import { AnthropicClaude } from '../../src/claude/client.ts'
import { loadConfig } from '../../src/config/config.ts'
import { Outgoing } from '../../src/network/outgoing.ts'
import { startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import { type ConnectProxy, startConnectProxy, type Way } from '../support/connect-proxy.ts'
import { startDocumentHost } from '../support/document-host.ts'
import { deadUrl, KEY, requestFor } from './asking.ts'

const signal = new AbortController().signal
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function start(wayTo: (to: string, credentials: string | undefined, port: number) => Way) {
  const standIn = await startClaudeStandIn()
  const port = Number(new URL(standIn.url).port)
  const proxy = await startConnectProxy((to, credentials) => wayTo(to, credentials, port))
  closing.push(standIn.close, proxy.close)
  return { standIn, proxy }
}

/** As the settings make it. */
function connect(env: Record<string, string>): AnthropicClaude {
  const { upstream, outgoing } = loadConfig(env)
  const client = new AnthropicClaude({ ...upstream, outgoing: new Outgoing(outgoing) })
  closing.push(() => client.close())
  return client
}

const ask = (client: AnthropicClaude) => client.answer(KEY, requestFor(), { signal })
const towards = (ANTHROPIC_BASE_URL: string, proxy: Pick<ConnectProxy, 'url'>) => ({
  ANTHROPIC_BASE_URL,
  HTTP_PROXY: proxy.url,
})
/** A name that is in no name server: who reaches it was led there by the proxy. */
const CLAUDE = 'http://claude.example'

test('Anthropic is asked through a tunnel, by its name', async () => {
  const { standIn, proxy } = await start((_to, _credentials, port) => ({ port }))
  const client = connect(towards(CLAUDE, proxy))
  await client.proveKey(KEY)
  expect(await ask(client)).toMatchObject({ status: 'complete', text: 'Hello there, Claude.' })
  expect(new Set(proxy.asked.map(({ to }) => to))).toEqual(new Set(['claude.example:80']))
  expect(JSON.stringify(proxy.asked)).not.toContain(KEY)
  expect(standIn.messageRequests()[0]?.headers).toMatchObject({
    host: 'claude.example',
    authorization: `Bearer ${KEY}`,
  })
  expect(standIn.messageRequests()[0]?.headers).not.toHaveProperty('proxy-authorization')
})

test.each([
  ['ada:secret', 'ada:secret'],
  ['ada%40corp.example:p%40ss%20w%C3%B6rd%3A', 'ada@corp.example:p@ss wörd:'],
  ['ada', 'ada:'],
])('the proxy is told who asks: %s', async (written, credentials) => {
  const { proxy } = await start((_to, given, port) =>
    given === credentials ? { port } : { status: 407 },
  )
  const HTTP_PROXY = proxy.url.replace('//', `//${written}@`)
  const outcome = await ask(connect({ ANTHROPIC_BASE_URL: CLAUDE, HTTP_PROXY }))
  expect(outcome).toMatchObject({ status: 'complete' })
})

test.each<[number, boolean, RegExp, number]>([
  [407, false, /user and password into HTTPS_PROXY/, 1],
  [403, false, /refused.*says nothing of the API key.*HTTPS_PROXY/, 1],
  [502, true, /HTTPS_PROXY/, 2],
  [503, true, /HTTPS_PROXY/, 2],
  [504, true, /HTTPS_PROXY/, 2],
])(
  'a proxy that refuses with %i costs nothing, and is told from Anthropic',
  async (status, retryable, says, times) => {
    const { proxy } = await start(() => ({ status }))
    const client = connect(towards(CLAUDE, proxy))
    expect(await ask(client)).toMatchObject({
      status: 'failed',
      usage: null,
      error: {
        code: 'upstream_unavailable',
        retryable,
        message: expect.stringMatching(says),
        details: { upstream_status: status },
      },
    })
    expect(proxy.asked).toHaveLength(times)
    expect(client.lastSeen().status).toBe('unreachable')
    await expect(client.proveKey(KEY)).rejects.toMatchObject({
      code: 'upstream_unavailable',
      message: expect.stringMatching(says),
    })
  },
)

test('a proxy that is away is not taken for Anthropic', async () => {
  const client = connect(towards(CLAUDE, { url: await deadUrl() }))
  expect(await ask(client)).toMatchObject({
    usage: null,
    error: {
      code: 'upstream_unavailable',
      retryable: true,
      message: expect.stringMatching(/proxy.*could not be reached.*HTTPS_PROXY/),
      details: { network_error: 'ECONNREFUSED' },
    },
  })
})

test('what breaks in the tunnel is no matter of the proxy, and may have been billed', async () => {
  const { standIn, proxy } = await start((_to, _credentials, port) => ({ port }))
  standIn.script({ kind: 'stream_drop', afterChunks: 1 })
  expect(await ask(connect(towards(CLAUDE, proxy)))).toMatchObject({
    usageEstimated: 'stream_broken',
    error: { message: expect.stringContaining('broke before the answer was complete') },
  })
})

test('through an https tunnel nobody reads but Anthropic, whose certificate counts', async () => {
  const events = [
    '{"type":"message_start","message":{"model":"m","usage":{"input_tokens":1,"output_tokens":1}}}',
    '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}',
    '{"type":"message_stop"}',
  ].map((data) => `event: ${JSON.parse(data).type}\ndata: ${data}\n\n`)
  const host = await startDocumentHost((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' }).end(events.join(''))
  })
  const { proxy } = await start(() => ({ port: host.port }))
  closing.push(host.close)
  const env = { ANTHROPIC_BASE_URL: 'https://documents.example', HTTPS_PROXY: proxy.url }
  expect(await ask(connect(env))).toMatchObject({
    usage: null,
    error: { retryable: false, message: expect.stringContaining('NODE_EXTRA_CA_CERTS') },
  })
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
  expect(await ask(connect(env))).toMatchObject({ status: 'complete' })
  expect(proxy.asked.map(({ to }) => to)).toContain('documents.example:443')
})

describe('which way', () => {
  const HTTPS_PROXY = 'http://for-https.example:3128'
  const HTTP_PROXY = 'http://for-http.example'
  const wayTo = (url: string, env: Record<string, string>) =>
    new Outgoing(loadConfig(env).outgoing).proxyFor(new URL(url))

  test('each proxy is for its own kind of address', () => {
    expect(wayTo('https://a.example', { HTTPS_PROXY })).toBe('HTTPS_PROXY')
    expect(wayTo('http://a.example', { HTTPS_PROXY })).toBeUndefined()
    expect(wayTo('http://a.example', { HTTP_PROXY })).toBe('HTTP_PROXY')
    expect(wayTo('https://a.example', { HTTP_PROXY })).toBeUndefined()
    expect(wayTo('https://a.example', {})).toBeUndefined()
  })

  test('small letters are read as well, and count', () => {
    expect(wayTo('https://a.example', { https_proxy: HTTPS_PROXY })).toBe('HTTPS_PROXY')
    expect(wayTo('http://a.example', { http_proxy: HTTP_PROXY })).toBe('HTTP_PROXY')
    expect(wayTo('https://a.example', { HTTPS_PROXY, https_proxy: '' })).toBeUndefined()
    expect(wayTo('https://a.example', { HTTPS_PROXY, no_proxy: '*', NO_PROXY: '' })).toBe(undefined)
  })

  test.each([
    ['*', 'https://anything.example'],
    ['a.example', 'https://a.example'],
    ['A.Example', 'https://a.EXAMPLE.'],
    ['a.example', 'https://below.a.example'],
    ['.a.example', 'https://a.example'],
    ['*.a.example', 'https://below.a.example'],
    ['x, a.example ,y', 'https://a.example'],
    ['x a.example\ty', 'https://a.example'],
    ['a.example:443', 'https://a.example'],
    ['a.example:8443', 'https://a.example:8443'],
    ['localhost', 'https://localhost:8443'],
    ['10.0.0.7', 'https://10.0.0.7'],
    ['10.0.0.0/8', 'https://10.255.0.7:8443'],
    ['::1', 'https://[::1]'],
    ['[::1]', 'https://[::1]:8443'],
    ['[::1]:8443', 'https://[::1]:8443'],
    ['2001:db8:0:0::7', 'https://[2001:db8::7]'],
    ['2001:db8::/32', 'https://[2001:db8:1::7]'],
    ['[2001:db8::]/32', 'https://[2001:db8:1::7]'],
  ])('NO_PROXY=%s leads directly to %s', (NO_PROXY, url) => {
    expect(wayTo(url, { HTTPS_PROXY, NO_PROXY })).toBeUndefined()
  })

  test.each([
    ['a.example', 'https://b.example'],
    ['a.example', 'https://not-a.example'],
    ['below.a.example', 'https://a.example'],
    ['a.example:8443', 'https://a.example'],
    ['10.0.0.0/8', 'https://11.0.0.7'],
    ['10.0.0.0/8', 'https://10.a.example'],
    ['0.7', 'https://10.0.0.7'],
    ['::1', 'https://[::2]'],
    ['2001:db8::/32', 'https://10.0.0.7'],
  ])('NO_PROXY=%s leads through the proxy to %s', (NO_PROXY, url) => {
    expect(wayTo(url, { HTTPS_PROXY, NO_PROXY })).toBe('HTTPS_PROXY')
  })
})
