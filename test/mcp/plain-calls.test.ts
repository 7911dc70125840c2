/**
 * Plain tool calls are answered without an SDK server, and nobody can tell: each is sent as it is,
 * and once more in a way that leaves it to the SDK of its era.
 */

import type { IncomingMessage } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { plainCall } from '../../src/mcp/plain-call.ts'
import { createToolsets } from '../../src/mcp/toolset.ts'
import { MODERN, TOOL_PREFIX } from '../http/posting.ts'
import { personalToken, signUp } from '../support/signed-up.ts'
import { eras, startApp, type TestApp, type TestUser } from '../support/start-app.ts'

type Json = Record<string, unknown>
type Sent = { body: Json; headers: Record<string, string> }

const USUAL = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
}
/** The same type to every reader of HTTP, and not how clients write it. */
const LEFT_TO_SDK = { 'content-type': 'application/json; charset=utf-8' }

const ENVELOPE = {
  'io.modelcontextprotocol/protocolVersion': MODERN,
  'io.modelcontextprotocol/clientInfo': { name: 'plain', version: '1.0.0' },
  'io.modelcontextprotocol/clientCapabilities': {},
}

type Call = { tool: string; args?: unknown; meta?: Json; id?: string | number }

function call(era: (typeof eras)[number], { tool, args = {}, meta = {}, id = 7 }: Call): Sent {
  const name = TOOL_PREFIX + tool
  const isModern = era === 'modern'
  const _meta = isModern ? { ...ENVELOPE, ...meta } : meta
  return {
    body: { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args, _meta } },
    headers: {
      ...USUAL,
      ...(isModern
        ? { 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': name }
        : { 'mcp-protocol-version': '2025-11-25' }),
    },
  }
}

const { usual } = createToolsets(TOOL_PREFIX)

const isPlain = ({ body, headers }: Sent) =>
  plainCall({ headers } as IncomingMessage, body, usual)?.era

describe.each(eras)('%s era', (era) => {
  const isModernEra = era === 'modern'
  let app: TestApp
  let user: TestUser
  beforeAll(async () => {
    app = await startApp({ kind: 'embedded', claude: { chunkSize: 8, chunkDelayMs: 1 } })
    user = await app.register()
  })
  afterAll(() => app.close())

  async function post({ body, headers }: Sent, more: Record<string, string> = {}) {
    const response = await fetch(app.url, {
      method: 'POST',
      headers: { ...headers, authorization: `Bearer ${user.accessToken}`, ...more },
      body: JSON.stringify(body),
    })
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      caching: response.headers.get('cache-control'),
      buffering: response.headers.get('x-accel-buffering'),
      text: await response.text(),
    }
  }

  /** What differs from call to call by nature. */
  const steady = (text: string) =>
    text
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'uuid')
      .replaceAll(/(uptime_seconds|latency_ms)(\\?"):[\d.]+/g, '$1$2:0')
      .replaceAll(/req_\w+/g, 'req')

  test.each<Call>([
    { tool: 'health_check' },
    { tool: 'health_check', id: 'text' },
    { tool: 'health_check', id: 0, meta: { progressToken: 'p', 'vendor/anything': [1] } },
    { tool: 'get_conversations', args: { limit: 3 } },
    { tool: 'get_conversations', args: { limit: 0, unknown: '“quoted”\u2028' } },
    { tool: 'get_conversation_history', args: { conversation_id: 'no-uuid' } },
    { tool: 'get_message', args: { message_id: '01a2046d-1b88-7427-b668-4c91a659d1d0' } },
    { tool: 'send_message', args: { message: '' } },
    { tool: 'send_message', args: { message: 'Grüße, 你好' } },
  ])('$tool of $args is answered byte for byte as the SDK answers it', async (wanted) => {
    const sent = call(era, wanted)
    const left = { ...sent, headers: { ...sent.headers, ...LEFT_TO_SDK } }
    expect([isPlain(sent), isPlain(left)]).toEqual([era, undefined])
    const [plain, bySdk] = [await post(sent), await post(left)]
    expect(plain.text).toContain('structuredContent')
    expect({ ...plain, text: steady(plain.text) }).toEqual({ ...bySdk, text: steady(bySdk.text) })
  })

  test('progress is shown in the same form, and the answer after it', async () => {
    const args = { message: Array(200).fill('many words').join(' ') }
    const sent = call(era, { tool: 'send_message', args, meta: { progressToken: 5 } })
    const left = { ...sent, headers: { ...sent.headers, ...LEFT_TO_SDK } }
    const eventsOf = async (one: Sent) => {
      const { text, type } = await post(one)
      expect(type).toMatch(/^text\/event-stream/)
      const events = text.split('\n\n').filter((event) => event !== '')
      expect(events.length).toBeGreaterThan(1)
      const data = events.map((event) => /^event: message\ndata: (\{.*\})$/.exec(event)?.[1] ?? '')
      expect(JSON.parse(data.at(-1) ?? '').result.structuredContent.success).toBe(true)
      return data
    }
    const [plain, bySdk] = [await eventsOf(sent), await eventsOf(left)]
    const form = (data = '') => data.replace(/"progress":\d+,"message":"[^"]+"/, '"progress"')
    expect(form(plain[0])).toContain('"progressToken":5')
    expect(form(plain[0])).toBe(form(bySdk[0]))
    expect(Object.keys(JSON.parse(plain.at(-1) ?? ''))).toEqual(['result', 'jsonrpc', 'id'])
  })

  test('a page to open is asked for in the same words', async () => {
    const opensLinks = { elicitation: { url: {} } }
    const { caller } = await signUp(app)
    const { token } = await personalToken(app, caller)
    await app.app.services.sessions.noteElicitsUrls(
      await app.app.services.sessions.resolve(token),
      true,
    )
    const meta =
      era === 'modern' ? { 'io.modelcontextprotocol/clientCapabilities': opensLinks } : {}
    const sent = call(era, { tool: 'send_message', args: { message: 'hi' }, meta })
    const left = { ...sent, headers: { ...sent.headers, ...LEFT_TO_SDK } }
    expect(isPlain(sent)).toBe(era)
    const as = { authorization: `Bearer ${token}` }
    const [plain, bySdk] = [await post(sent, as), await post(left, as)]
    expect(plain.text).toContain('/account/key')
    expect(plain.text).not.toContain('structuredContent')
    const common = (text: string) => steady(text).replaceAll(/link=[\w-]+/g, 'link')
    expect({ ...plain, text: common(plain.text) }).toEqual({ ...bySdk, text: common(bySdk.text) })
  })

  const good = call(era, { tool: 'health_check' })
  const params = good.body.params as Json
  const meta = params._meta as Json
  const withBody = (change: Json): Sent => ({ ...good, body: { ...good.body, ...change } })
  const withParams = (change: Json) => withBody({ params: { ...params, ...change } })
  const withMeta = (change: Json) => withParams({ _meta: { ...meta, ...change } })
  const withHeaders = (change: Record<string, string>): Sent => ({
    ...good,
    headers: { ...good.headers, ...change },
  })

  test.each<[string, Sent]>([
    ['another JSON-RPC', withBody({ jsonrpc: '1.0' })],
    ['a broken id', withBody({ id: 1.5 })],
    ['no id', withBody({ id: null })],
    ['a field more', withBody({ result: {} })],
    ['another method', withBody({ method: 'tools/list' })],
    ['no parameters', withBody({ params: [] })],
    ['a parameter more', withParams({ task: {} })],
    ['answers to questions', withParams({ inputResponses: {} })],
    ['an unknown tool', withParams({ name: 'claude-api-gateway_fly' })],
    ['a name that is none', withParams({ name: 1 })],
    ['arguments that are a list', withParams({ arguments: [] })],
    ['arguments that are null', withParams({ arguments: null })],
    ['a prototype', withParams({ arguments: JSON.parse('{"__proto__":{}}') })],
    ['metadata that are null', withParams({ _meta: null })],
    ['a broken progress token', withMeta({ progressToken: {} })],
    ['reserved metadata', withMeta({ 'io.modelcontextprotocol/related-task': { taskId: 'x' } })],
    ['an envelope of no client', withMeta({ 'io.modelcontextprotocol/clientInfo': 'text' })],
    ['another version', withHeaders({ 'mcp-protocol-version': '2027-01-01' })],
    ['the other era', withHeaders({ 'mcp-protocol-version': isModernEra ? '2025-11-25' : MODERN })],
    ['another content type', withHeaders({ 'content-type': 'text/plain' })],
    ...(era === 'legacy'
      ? [['accepting JSON only', withHeaders({ accept: 'application/json' })] as [string, Sent]]
      : ([
          ['another method in the header', withHeaders({ 'mcp-method': 'tools/list' })],
          ['another name in the header', withHeaders({ 'mcp-name': 'other' })],
          ['a log level', withMeta({ 'io.modelcontextprotocol/logLevel': 'debug' })],
          ['no capabilities', withMeta({ 'io.modelcontextprotocol/clientCapabilities': null })],
        ] as [string, Sent][])),
  ])('%s is for the SDK to judge', (_what, sent) => {
    expect(isPlain(good)).toBe(era)
    expect(isPlain(sent)).toBeUndefined()
  })
})
