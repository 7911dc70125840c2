/** The MCP protocol behind one endpoint: picks the era and handler of each request. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { classifyInboundRequest } from '@modelcontextprotocol/server'
import type { Announced } from '../services/access/read-ahead.ts'
import type { Scope } from '../services/access/scopes.ts'
import type { EarlySend } from '../services/turns/remembered/early-turn.ts'
import { catalogue, catalogueOf } from './catalogue.ts'
import type { EarlyContext, Tool } from './definitions/tool.ts'
import { createLegacyCalls } from './direct/legacy.ts'
import { createModernCalls } from './direct/modern.ts'
import { plainCall } from './direct/recognise.ts'
import { createParamsCheck } from './direct/request-params.ts'
import { jsonResponse, sseResponse } from './direct/response.ts'
import { createFinder, type Features, GATEWAY_FEATURES, NEEDS_CALLER } from './features.ts'
import { hostHeaderValidation, hostProblem, originValidation } from './guards.ts'
import { findOutOfBounds, isShortId } from './message-bounds.ts'
import { CancellableCalls } from './protocol/cancellable-calls.ts'
import { ClientRequests } from './protocol/client-requests.ts'
import { createLegacyHandler } from './protocol/legacy.ts'
import { createModernHandler } from './protocol/modern.ts'
import { serverInfo } from './protocol/server-info.ts'
import { announcedBy, type RequestIdentity, startEarly, type ToolRunner } from './run-tool.ts'
import { createToolsets, type Toolset } from './toolset.ts'
import { onWire } from './wire.ts'

/** Express middleware that answers 403 to a foreign Host or Origin header (DNS rebinding). */
export const guards = { hostHeaderValidation, hostProblem, originValidation }

export { findOutOfBounds }

/** What the HTTP side needs to know of a request before the SDKs process it. */
export type Inspected = {
  method: string | undefined
  /** Null if absent, or too long to be repeated. */
  id: string | number | null
  /** Undefined unless it is a tools/call of a tool that exists. */
  tool: Tool | undefined
  isToolCall: boolean
  /** Whether only a signed-in caller may ask this. */
  needsCaller: boolean
  /** The scope that the request requires; undefined: none. */
  scope: Scope | undefined
  /** The access_token argument of a tool call, unvalidated. */
  accessTokenArgument: unknown
  /** What the call needs, to be read with the session; undefined: nothing, or not known. */
  announce(): Announced | undefined
}

type Find = { tool: Toolset['find']; scopeOf: ReturnType<typeof createFinder>['scopeOf'] }

function inspectBody(body: unknown, find: Find, runner: ToolRunner): Inspected {
  const { method, id, params } = (body ?? {}) as Record<string, unknown>
  const isToolCall = method === 'tools/call'
  const { name, arguments: args } = (isToolCall && params ? params : {}) as Record<string, unknown>
  const entry = typeof name === 'string' ? find.tool(name) : undefined
  const tool = entry?.tool
  return {
    method: typeof method === 'string' ? method : undefined,
    needsCaller: isToolCall ? tool?.access === 'user' : NEEDS_CALLER.has(String(method)),
    id: isShortId(id) ? id : null,
    tool,
    isToolCall,
    scope: tool?.scope ?? find.scopeOf(method, Object(params)),
    accessTokenArgument: Object(args).access_token,
    announce: () => entry && announcedBy(runner, { entry, args }),
  }
}

/** The response types that a client accepts. */
export type Accepted = { json: boolean; stream: boolean }

/** One POST: its parsed body, what `inspect` found in it, and from whom it comes. */
type McpRequest = {
  body: unknown
  inspected: Inspected
  asker: RequestIdentity
  accepted: Accepted
}

type EarlyRequest = Omit<EarlyContext, 'services'> & { shortNames: boolean }

type McpOptions = {
  runner: ToolRunner
  publicUrl: string
  /** The prefix of tool names, unless a client asks for short names. */
  toolPrefix: string
  /** Instead of the gateway's own: for tests of the bindings. */
  features?: Features | undefined
}

/**
 * `inspect` reads a parsed JSON-RPC body without trusting it; `handle` answers one POST in its
 * protocol era; `worded` rewrites the tool names in a text as the client's list shows them.
 */
export function createMcpHandler({
  runner,
  publicUrl,
  toolPrefix,
  features = GATEWAY_FEATURES,
}: McpOptions) {
  const info = serverInfo(publicUrl)
  const toolsets = createToolsets(
    toolPrefix,
    features === GATEWAY_FEATURES ? catalogue : catalogueOf(features.tools),
  )
  const toolsetFor = (shortNames?: boolean) => (shortNames ? toolsets.short : toolsets.usual)
  const worded = (text: string, shortNames: boolean) => toolsetFor(shortNames).worded(text)
  const find = { tool: toolsets.usual.find, scopeOf: createFinder(features).scopeOf }
  const inspect = (body: unknown) => inspectBody(body, find, runner)
  const wrongParams = createParamsCheck(features)
  const calls = new CancellableCalls()
  const legacy = createLegacyHandler({
    runner,
    info,
    features,
    calls,
    questions: new ClientRequests(),
  })
  const modern = createModernHandler({ runner, info, features })
  const answerCall = {
    legacy: createLegacyCalls(runner, calls),
    modern: createModernCalls(runner, info),
  }
  const handle = (
    req: IncomingMessage,
    res: ServerResponse,
    { body, inspected, asker, accepted: { json, stream } }: McpRequest,
  ) => {
    const toolset = toolsetFor(asker.shortNames)
    const streams = stream && (!json || inspected.tool?.streams === true)
    const call = plainCall(req, body, toolset)
    if (call) return answerCall[call.era]({ ...call, streams }, res, asker)
    const wrong = wrongParams(body)
    if (wrong) return (streams ? sseResponse(res) : jsonResponse(res)).finish(wrong)
    const era = isLegacy(req, body) ? legacy : modern
    return era(req, onWire(res), body, { asker, toolset, streams })
  }
  /** Begins a call that `handle` answers, before its session is looked up (run-tool.ts). */
  const begin = async (
    req: IncomingMessage,
    body: unknown,
    { shortNames, ...asked }: EarlyRequest,
  ): Promise<EarlySend | undefined> => {
    const call = plainCall(req, body, toolsetFor(shortNames))
    return call && !findOutOfBounds(body) ? startEarly(runner, call, asked) : undefined
  }
  return { inspect, handle, worded, begin }
}

/** By the SDK's own rules; a request that fits neither era is refused by the modern handler. */
function isLegacy(req: IncomingMessage, body: unknown): boolean {
  const header = (name: string) => {
    const value = req.headers[name]
    return typeof value === 'string' ? value : undefined
  }
  const headers = {
    protocolVersionHeader: header('mcp-protocol-version'),
    mcpMethodHeader: header('mcp-method'),
    mcpNameHeader: header('mcp-name'),
  }
  const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value))
  return classifyInboundRequest({ httpMethod: 'POST', body, ...given }).kind === 'legacy'
}
