/**
 * Protocol revision 2026-07-28, on @modelcontextprotocol/server (v2).
 *
 * The SDK makes a server for every request from the factory below; nothing is shared between two.
 * Closing the response stream is a cancellation here, by the specification.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { toNodeHandler } from '@modelcontextprotocol/node'
import {
  CLIENT_CAPABILITIES_META_KEY,
  createMcpHandler,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  Server,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/server/validators/ajv'
import { isDrained } from './call-answer.ts'
import { orPageToOpen } from './modern-calls.ts'
import { PAGE_REQUEST } from './page-to-open.ts'
import type { Fields } from './plain-call.ts'
import { noProgress, throttledProgress } from './progress.ts'
import { type Asker, findTool, runTool, type ToolRunner } from './run-tool.ts'
import {
  CAPABILITIES,
  INSTRUCTIONS,
  KEEP_ALIVE_MS,
  RESOURCE_LIST,
  readResource,
  type ServerInfo,
  TOOL_LIST,
} from './surface.ts'

const SHARED_FOR_MS = 300_000

/** The lists are the same for everybody; what a resource holds is one user's, and new each time. */
const CACHE_HINTS = {
  'server/discover': { ttlMs: SHARED_FOR_MS, cacheScope: 'public' },
  'tools/list': { ttlMs: SHARED_FOR_MS, cacheScope: 'public' },
  'resources/list': { ttlMs: SHARED_FOR_MS, cacheScope: 'public' },
  'resources/templates/list': { ttlMs: SHARED_FOR_MS, cacheScope: 'public' },
  'resources/read': { ttlMs: 0, cacheScope: 'private' },
} as const

/** Building one per request costs more than the request; it keeps nothing of what it validates. */
const jsonSchemaValidator = new AjvJsonSchemaValidator()

export function createModernHandler(runner: ToolRunner, info: ServerInfo) {
  const handlerFor = (responseMode: 'sse' | 'auto') => {
    const handler = createMcpHandler(
      ({ authInfo }) => createServer(runner, info, authInfo?.extra as Call),
      {
        legacy: 'reject',
        responseMode,
        keepAliveMs: KEEP_ALIVE_MS,
        onerror: (err) => runner.log.debug({ err }, 'modern handler'),
      },
    )
    return toNodeHandler(handler)
  }
  const streaming = handlerFor('sse')
  const plain = handlerFor('auto')

  /** Answers one POST whose body was parsed already. `streams`: the answer may take minutes. */
  return async function handle(
    req: IncomingMessage,
    res: ServerResponse,
    body: unknown,
    asker: Asker,
    streams: boolean,
  ): Promise<void> {
    // The SDK's channel for what the HTTP side knows of the caller. It reads none of these fields.
    const extra: Call = { asker, isTaken: () => isDrained(res) }
    const auth = { token: '', clientId: '', scopes: [], extra }
    const request = Object.assign(req, { auth }) as Parameters<typeof plain>[0]
    await (streams ? streaming : plain)(request, res, body)
  }
}

type Call = { asker: Asker; isTaken: () => boolean }

function createServer(runner: ToolRunner, info: ServerInfo, { asker, isTaken }: Call): Server {
  const server = new Server(info, {
    capabilities: CAPABILITIES,
    instructions: INSTRUCTIONS,
    cacheHints: CACHE_HINTS,
    jsonSchemaValidator,
  })
  server.setRequestHandler('tools/list', () => TOOL_LIST)
  server.setRequestHandler('resources/list', () => RESOURCE_LIST)
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: [] }))
  server.setRequestHandler('tools/call', async ({ params }, { mcpReq }) => {
    const entry = findTool(params.name)
    if (!entry) {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name}`)
    }
    const { signal } = mcpReq
    const progress = progressOf(mcpReq, isTaken)
    const call = { entry, args: params.arguments, asker, signal, progress }
    const { envelope = {}, inputResponses } = mcpReq
    const capabilities = (envelope as Fields)[CLIENT_CAPABILITIES_META_KEY] as Fields | undefined
    // It repeats the call afterwards, whatever its user did, and then gets the result as it is.
    const isAsked = inputResponses !== undefined && PAGE_REQUEST in inputResponses
    const result = await runTool(runner, call)
    return isAsked ? result : orPageToOpen(result, capabilities)
  })
  server.setRequestHandler('resources/read', async ({ params: { uri } }) => {
    const read = await readResource(runner, uri, asker)
    if (!read) throw new ResourceNotFoundError(uri)
    if ('failure' in read) {
      throw new ProtocolError(read.failure.code, read.failure.message, read.failure.data)
    }
    return { contents: [{ uri, mimeType: 'application/json', text: read.text }] }
  })
  return server
}

function progressOf({ _meta, notify }: ServerContext['mcpReq'], isTaken: () => boolean) {
  const progressToken = _meta?.progressToken
  if (progressToken === undefined) return noProgress
  return throttledProgress(
    (progress, message) =>
      notify({ method: 'notifications/progress', params: { progressToken, progress, message } }),
    { isTaken },
  )
}
