/**
 * Protocol revision 2026-07-28, on @modelcontextprotocol/server (v2).
 *
 * The SDK creates a server per request from the factory below; requests share nothing. Closing the
 * response stream cancels the call, by the specification.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { toNodeHandler } from '@modelcontextprotocol/node'
import {
  type CallToolResult,
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  createMcpHandler,
  type InputRequiredResult,
  inputRequired,
  type ListResourcesResult,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  Server,
  type ServerContext,
  type ServerNotification,
} from '@modelcontextprotocol/server'
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/server/validators/ajv'
import type { Client } from '../definitions/client-input.ts'
import type { Features } from '../features.ts'
import { type Ask, runTool, type ToolCall, type ToolRunner } from '../run-tool.ts'
import { isDrained } from '../wire.ts'
import {
  capabilitiesOf,
  createFeatureRequests,
  type FeatureRequests,
  NoSuchResource,
  ProtocolFailure,
} from './feature-requests.ts'
import { progressWith } from './progress.ts'
import { KEEP_ALIVE_MS, type ServerInfo } from './server-info.ts'
import { orPageToOpen, PAGE_REQUEST } from './url-elicitation.ts'

const LISTED_FOR_MS = 300_000

/**
 * Lists depend on the caller's scopes. The content of a resource is private to a user and never
 * cached.
 */
const CACHE_HINTS = {
  'server/discover': { ttlMs: LISTED_FOR_MS, cacheScope: 'public' },
  'tools/list': { ttlMs: LISTED_FOR_MS, cacheScope: 'private' },
  'resources/list': { ttlMs: LISTED_FOR_MS, cacheScope: 'private' },
  'resources/templates/list': { ttlMs: LISTED_FOR_MS, cacheScope: 'private' },
  'prompts/list': { ttlMs: LISTED_FOR_MS, cacheScope: 'private' },
  'resources/read': { ttlMs: 0, cacheScope: 'private' },
} as const

/** Shared, since building one costs more than a request; it keeps nothing of what it validates. */
const jsonSchemaValidator = new AjvJsonSchemaValidator()

type Served = { runner: ToolRunner; info: ServerInfo; features: Features }

export function createModernHandler(served: Served) {
  const { runner, features } = served
  const requests = createFeatureRequests(runner, features)
  const capabilities = capabilitiesOf(features)
  const handlerFor = (responseMode: 'sse' | 'auto') => {
    const handler = createMcpHandler(
      ({ authInfo }) =>
        createServer({ ...served, requests, capabilities }, authInfo?.extra as Call),
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
    const extra: Call = { asker, toolset, streams, isTaken: () => isDrained(res) }
    const auth = { token: '', clientId: '', scopes: [], extra }
    const request = Object.assign(req, { auth }) as Parameters<typeof plain>[0]
    await (streams ? streaming : plain)(request, res, body)
  }
}

type Call = Ask & { isTaken: () => boolean }

type Answers = Served & {
  requests: FeatureRequests
  capabilities: ReturnType<typeof capabilitiesOf>
}

function createServer(
  { runner, info, features, requests, capabilities }: Answers,
  { asker, toolset, streams, isTaken }: Call,
): Server {
  const { verifyState } = features.more ?? {}
  const server = new Server(info, {
    capabilities,
    instructions: toolset.instructions,
    cacheHints: CACHE_HINTS,
    jsonSchemaValidator,
    ...(verifyState ? { requestState: { verify: verifyState } } : {}),
  })
  for (const [method, answer] of Object.entries(requests)) {
    server.setRequestHandler(method as 'resources/list', async ({ params = {} }, { mcpReq }) => {
      try {
        const ask = { asker, toolset, client: clientOf(mcpReq, streams) }
        return (await answer(params, ask)) as ListResourcesResult
      } catch (thrown) {
        throw toProtocolError(thrown)
      }
    })
  }
  server.setRequestHandler('tools/call', async ({ params }, { mcpReq }) => {
    const entry = toolset.find(params.name)
    if (!entry) {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name}`)
    }
    const { signal, _meta, envelope, inputResponses } = mcpReq
    const client = clientOf(mcpReq, streams)
    const progress = progressWith(_meta?.progressToken, client.notify, { isTaken })
    const call = { toolset, entry, args: params.arguments, asker, signal, progress, client }
    // After the elicitation the client repeats the call, and then gets the result as it is.
    const isAsked = inputResponses !== undefined && PAGE_REQUEST in inputResponses
    const result = isAsked
      ? runTool(runner, call)
      : runModernCall(runner, call, capabilitiesIn(envelope))
    return (await result) as CallToolResult | InputRequiredResult
  })
  return server
}

function toProtocolError(thrown: unknown): unknown {
  if (thrown instanceof NoSuchResource) return new ResourceNotFoundError(thrown.uri)
  if (!(thrown instanceof ProtocolFailure)) return thrown
  return new ProtocolError(thrown.code, thrown.message, thrown.data)
}

/** Where the answer is no stream nothing is notified: the SDK would turn it into one. */
function clientOf(mcpReq: ServerContext['mcpReq'], streams: boolean): Client {
  const { envelope, inputResponses = {}, requestState } = mcpReq
  const capabilities = capabilitiesIn(envelope)
  const notify: Client['notify'] = async (told) => {
    if (streams) await mcpReq.notify(told as ServerNotification)
  }
  return { answers: inputResponses, state: requestState(), capabilities, notify }
}

/** Answers with the page that would fix a failure, if the client opens links. */
export async function runModernCall(
  runner: ToolRunner,
  call: ToolCall,
  capabilities: ClientCapabilities | undefined,
) {
  return orPageToOpen(
    await runTool(runner, call),
    () => capabilities?.elicitation?.url !== undefined,
    (page) => inputRequired({ inputRequests: { [PAGE_REQUEST]: inputRequired.elicitUrl(page) } }),
  )
}

/** @param meta a request's `_meta`, which the SDK has validated. */
export const capabilitiesIn = (meta: Record<string, unknown> = {}) =>
  meta[CLIENT_CAPABILITIES_META_KEY] as ClientCapabilities | undefined
