/**
 * Tool calls are answered without an SDK server, and no client can tell: whatever the direct way
 * recognises, it answers byte for byte as the SDK of that era answers the same request.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text as textOf } from 'node:stream/consumers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { AppError } from '../../src/errors.ts'
import { createLogger } from '../../src/log.ts'
import { catalogueOf } from '../../src/mcp/catalogue.ts'
import { defineTool } from '../../src/mcp/definitions/tool.ts'
import { plainCall } from '../../src/mcp/direct/recognise.ts'
import { createMcpHandler } from '../../src/mcp/index.ts'
import { CancellableCalls } from '../../src/mcp/protocol/cancellable-calls.ts'
import { ClientRequests } from '../../src/mcp/protocol/client-requests.ts'
import { createLegacyHandler } from '../../src/mcp/protocol/legacy.ts'
import { createModernHandler } from '../../src/mcp/protocol/modern.ts'
import { serverInfo } from '../../src/mcp/protocol/server-info.ts'
import type { ToolRunner } from '../../src/mcp/run-tool.ts'
import { createToolsets } from '../../src/mcp/toolset.ts'
import { onWire } from '../../src/mcp/wire.ts'
import { createTelemetry } from '../../src/telemetry.ts'
import { MODERN, TOOL_PREFIX } from '../http/posting.ts'
import { eras } from '../support/start-app.ts'

const LEGACY = '2025-11-25'
const hints = { readOnly: true, destructive: false, idempotent: true, openWorld: false }
const common = { title: 'Test', description: 'A test.', access: 'public', hints } as const

const echo = defineTool({
  ...common,
  name: 'echo',
  input: z.object({ text: z.string().max(20).optional(), count: z.int().optional() }),
  output: z.object({ given: z.unknown() }),
  run: async (given) => ({ given }),
})
const rows = defineTool({
  ...common,
  name: 'rows',
  rows: 'rows',
  input: z.object({}),
  output: z.object({ rows: z.array(z.object({ n: z.number() })) }),
  run: async () => ({ rows: [{ n: 1 }, { n: 2 }] }),
})
const tell = defineTool({
  ...common,
  name: 'tell',
  streams: true,
  input: z.object({ text: z.string() }),
  output: z.object({ length: z.number() }),
  async run({ text }, { progress }) {
    progress(text)
    progress(`${text} and more, within the interval that drops it`)
    return { length: text.length }
  },
})
const fail = defineTool({
  ...common,
  name: 'fail',
  input: z.object({}),
  output: z.object({}),
  run: () => Promise.reject(new AppError('not_found', 'It is not there.')),
})
const page = defineTool({
  ...common,
  name: 'page',
  input: z.object({}),
  output: z.object({}),
  run: () =>
    Promise.reject(
      new AppError('api_key_missing', 'No key.', { details: { url: 'https://gateway/key' } }),
    ),
})
const secret = defineTool({
  ...common,
  access: 'user',
  name: 'secret',
  input: z.object({}),
  output: z.object({}),
  run: async () => ({}),
})
const tools = [echo, rows, tell, fail, page, secret]
const features = { tools, resources: [], resourceTemplates: [], prompts: [] }

const runner: ToolRunner = {
  // None of these tools uses a service.
  services: {} as ToolRunner['services'],
  maxToolInputElements: 50,
  log: createLogger('silent'),
  telemetry: createTelemetry(),
}
const publicUrl = 'https://gateway.example.com'
const mcp = createMcpHandler({ runner, publicUrl, toolPrefix: TOOL_PREFIX, features })
const info = serverInfo(publicUrl)
const calls = new CancellableCalls()
const sdk = {
  legacy: createLegacyHandler({ runner, info, features, calls, questions: new ClientRequests() }),
  modern: createModernHandler({ runner, info, features }),
}
const toolset = createToolsets(TOOL_PREFIX, catalogueOf(tools)).usual
const asker = { caller: null, refusal: null }

/** `/direct` as the gateway answers, `/legacy` and `/modern` by the SDK alone. */
async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const body: unknown = JSON.parse(await textOf(req))
  const inspected = mcp.inspect(body)
  const accepted = { json: true, stream: (req.headers.accept ?? '').includes('event-stream') }
  const streams = accepted.stream && inspected.tool?.streams === true
  if (req.url === '/direct') return mcp.handle(req, res, { body, inspected, asker, accepted })
  const era = req.url === '/legacy' ? sdk.legacy : sdk.modern
  return era(req, onWire(res), body, { asker, toolset, streams })
}

type Json = Record<string, unknown>
type Sent = { body: Json; headers: Record<string, string> }

/** Usually what a client sends, sometimes what one might. */
const mostly = <T>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 8, arbitrary: usual }, { weight: 1, arbitrary: odd })

const anything = fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<unknown>
const ids: fc.Arbitrary<unknown> = mostly(
  fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.maxSafeInteger()),
  fc.constantFrom<unknown>(undefined, null, true, 1.5, 2 ** 60, -0, [], {}),
)
const names: fc.Arbitrary<unknown> = mostly(
  fc
    .tuple(fc.constantFrom('', TOOL_PREFIX), fc.constantFrom(...tools.map(({ name }) => name)))
    .map((parts) => parts.join('')),
  fc.constantFrom<unknown>(undefined, 'fly', `${TOOL_PREFIX}fly`, '', 7, null, '__proto__'),
)
const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 25 }),
  fc.constantFrom('“quoted”\u2028\u2029\u0085', '\ud800 lone', 'NUL \0', 'Grüße, 你好 😀'),
)
const args: fc.Arbitrary<unknown> = mostly(
  fc.oneof(
    fc.constant({}),
    texts.map((text) => ({ text })),
    fc.record({ text: texts, count: fc.oneof(fc.integer(), fc.double()) }),
    fc.record({ text: anything, access_token: fc.string() }, { requiredKeys: [] }),
    fc.dictionary(fc.string({ maxLength: 5 }), anything),
    fc.array(fc.integer(), { minLength: 40, maxLength: 60 }).map((list) => ({ list })),
  ),
  fc.oneof(fc.constant(undefined), anything, fc.constant(JSON.parse('{"__proto__":{"text":1}}'))),
)
const tokens: fc.Arbitrary<unknown> = mostly(
  fc.oneof(fc.constant(undefined), fc.string({ maxLength: 9 }), fc.maxSafeInteger()),
  fc.constantFrom<unknown>(null, 1.5, true, {}, []),
)
const metas = fc.record(
  { progressToken: tokens, 'vendor/key': anything, 'io.modelcontextprotocol/odd': anything },
  { requiredKeys: ['progressToken'] },
)
const usualMetas = mostly(
  fc.record(
    { progressToken: tokens, 'vendor/key': anything },
    { requiredKeys: [] },
  ) as typeof metas,
  metas,
)
const clients = mostly(
  fc.record({
    'io.modelcontextprotocol/protocolVersion': fc.constant<unknown>(MODERN),
    'io.modelcontextprotocol/clientInfo': fc.record({
      name: fc.string({ maxLength: 5 }),
      version: fc.string({ maxLength: 5 }),
    }) as fc.Arbitrary<unknown>,
    'io.modelcontextprotocol/clientCapabilities': fc.constantFrom<unknown>(
      {},
      { elicitation: { url: {} } },
      { elicitation: { form: {} }, sampling: {} },
      { elicitation: {} },
    ),
  }),
  fc.record({
    'io.modelcontextprotocol/protocolVersion': anything,
    'io.modelcontextprotocol/clientInfo': anything,
    'io.modelcontextprotocol/clientCapabilities': anything,
  }),
)
const few = mostly(fc.constant<Json>({}), fc.dictionary(fc.constantFrom('task', 'x'), anything))
const both = 'application/json, text/event-stream'
const accepts = mostly(
  fc.constantFrom(both, 'text/event-stream, application/json;q=0.9'),
  fc.constantFrom('*/*', 'application/json', ''),
)
const types = mostly(
  fc.constant('application/json'),
  fc.constantFrom('application/json; charset=utf-8', 'Application/JSON', 'text/plain'),
)

const requests = (era: (typeof eras)[number]): fc.Arbitrary<Sent> =>
  fc
    .record({
      id: ids,
      name: names,
      given: args,
      meta: usualMetas,
      client: clients,
      inParams: few,
      inBody: few,
      accept: accepts,
      type: types,
      version: mostly(
        fc.constantFrom<string | undefined>(...(era === 'modern' ? [MODERN] : [LEGACY, undefined])),
        fc.constantFrom<string | undefined>(
          '2025-06-18',
          '2025-03-26',
          '2024-11-05',
          '1.0',
          LEGACY,
        ),
      ),
      hasMeta: mostly(fc.constant(true), fc.constant(era === 'modern')),
    })
    .map(({ id, name, given, meta, client, inParams, inBody, accept, type, version, hasMeta }) => {
      const _meta = era === 'modern' ? { ...client, ...meta } : meta
      const params = { name, arguments: given, ...(hasMeta ? { _meta } : {}), ...inParams }
      const inHeader = typeof name === 'string' ? name : 'none'
      return {
        body: { jsonrpc: '2.0', id, method: 'tools/call', params, ...inBody },
        headers: {
          accept,
          'content-type': type,
          ...(version === undefined ? {} : { 'mcp-protocol-version': version }),
          ...(era === 'modern' ? { 'mcp-method': 'tools/call', 'mcp-name': inHeader } : {}),
        },
      }
    })

/** Streams by progress, for a client that takes no stream. */
const untakenProgress = (era: (typeof eras)[number]): Sent => ({
  body: {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: {
      name: 'tell',
      arguments: { text: 'x' },
      _meta: {
        progressToken: 1,
        ...(era === 'modern' && {
          'io.modelcontextprotocol/protocolVersion': MODERN,
          'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
          'io.modelcontextprotocol/clientCapabilities': {},
        }),
      },
    },
  },
  headers: {
    accept: '*/*',
    'content-type': 'application/json',
    ...(era === 'modern'
      ? { 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': 'tell' }
      : {}),
  },
})

describe.each(eras)('%s era', (era) => {
  const server = createServer((req, res) => void answer(req, res))
  let base: string
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => void server.close())

  async function answerAt(path: string, { body, headers }: Sent) {
    const response = await fetch(base + path, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    })
    const shown = ['content-type', 'cache-control', 'x-accel-buffering', 'mcp-session-id']
    return {
      status: response.status,
      headers: shown.map((name) => response.headers.get(name)),
      text: await response.text(),
    }
  }

  test('what is answered directly is what the SDK answers, byte for byte', async () => {
    let direct = 0
    const run = async (sent: Sent) => {
      const asRead: Sent = { ...sent, body: JSON.parse(JSON.stringify(sent.body)) }
      const call = plainCall(
        { headers: sent.headers } as unknown as IncomingMessage,
        asRead.body,
        toolset,
      )
      if (!call) return
      direct++
      expect(await answerAt('/direct', sent)).toEqual(await answerAt(`/${call.era}`, sent))
    }
    const examples: [Sent][] = [[untakenProgress(era)]]
    await fc.assert(fc.asyncProperty(requests(era), run), { numRuns: 400, examples })
    // The property says nothing of requests that are left to the SDK.
    expect(direct).toBeGreaterThan(60)
  })
})
