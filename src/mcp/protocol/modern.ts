/**
 * Protocol revision 2026-07-28, on @modelcontextprotocol/server (v2).
 *
 * The SDK creates a server per request from the factory below; requests share nothing. Closing the
 * response stream cancels the call, by the specification.
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
import { orPageToOpen } from '../direct/modern.ts'
import type { Fields } from '../direct/recognise.ts'
import { isDrained } from '../direct/response.ts'
import { type Ask, runTool, type ToolRunner } from '../run-tool.ts'
import { noProgress, throttledProgress } from './progress.ts'
import {
  CAPABILITIES,
  KEEP_ALIVE_MS,
  readResource,
  resourceListFor,
  type ServerInfo,
} from './server-info.ts'
import { PAGE_REQUEST } from './url-elicitation.ts'

const LISTED_FOR_MS = 300_000

/**
 * Lists depend on the caller's scopes. The content of a resource is private to a user and never
 * cached.
 */
const CACHE_HINTS = {
  'server/discover': { ttlMs: LISTED_FOR_MS, cacheScope: 'public' },
  'tools/list': { ttlMs: LISTED_FOR_MS, cacheScope: 'private' },
  'resources/list': { ttlMs: LISTED_FOR_MS, cacheScope: 'private' },
  'resources/templates/list': { ttlMs: LISTED_FOR_MS, cacheScope: 'public' },
  'resources/read': { ttlMs: 0, cacheScope: 'private' },
} as const

/** Shared, since building one costs more than a request; it keeps nothing of what it validates. */
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

  /** Answers one POST whose body is already parsed. */
  return async function handle(
    req: IncomingMessage,
    res: ServerResponse,
    body: unknown,
    { asker, toolset, streams }: Ask,
  ): Promise<void> {
    // The SDK passes these on from the HTTP side. It reads none of the fields.
    const extra: Call = { asker, toolset, isTaken: () => isDrained(res) }
    const auth = { token: '', clientId: '', scopes: [], extra }
    const request = Object.assign(req, { auth }) as Parameters<typeof plain>[0]
    await (streams ? streaming : plain)(request, res, body)
  }
}

type Call = Omit<Ask, 'streams'> & { isTaken: () => boolean }

function createServer(
  runner: ToolRunner,
  info: ServerInfo,
  { asker, toolset, isTaken }: Call,
): Server {
  const server = new Server(info, {
    capabilities: CAPABILITIES,
    instructions: toolset.instructions,
    cacheHints: CACHE_HINTS,
    jsonSchemaValidator,
  })
  server.setRequestHandler('tools/list', () => toolset.listFor(asker.caller))
  server.setRequestHandler('resources/list', () => resourceListFor(asker.caller))
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: [] }))
  server.setRequestHandler('tools/call', async ({ params }, { mcpReq }) => {
    const entry = toolset.find(params.name)
    if (!entry) {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name}`)
    }
    const { signal } = mcpReq
    const progress = progressOf(mcpReq, isTaken)
    const call = { toolset, entry, args: params.arguments, asker, signal, progress }
    const { envelope = {}, inputResponses } = mcpReq
    const capabilities = (envelope as Fields)[CLIENT_CAPABILITIES_META_KEY] as Fields | undefined
    // After the elicitation the client repeats the call, and then gets the result as it is.
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
