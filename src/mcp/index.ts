/** The MCP protocol behind one endpoint: picks the era and handler of each request. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { classifyInboundRequest } from '@modelcontextprotocol/server'
import type { Scope } from '../services/access/scopes.ts'
import { createLegacyCalls } from './direct/legacy.ts'
import { createModernCalls } from './direct/modern.ts'
import { plainCall } from './direct/recognise.ts'
import { wrongParams } from './direct/request-params.ts'
import { jsonResponse, sseResponse } from './direct/response.ts'
import { hostHeaderValidation, originValidation } from './guards.ts'
import { findOutOfBounds, isShortId } from './message-bounds.ts'
import { CancellableCalls } from './protocol/cancellable-calls.ts'
import { createLegacyHandler } from './protocol/legacy.ts'
import { createModernHandler } from './protocol/modern.ts'
import { findResource, serverInfo } from './protocol/server-info.ts'
import type { RequestIdentity, ToolRunner } from './run-tool.ts'
import type { Tool } from './tool.ts'
import { createToolsets, type Toolset } from './toolset.ts'
import { onWire } from './wire.ts'

/** Express middleware that answers 403 to a foreign Host or Origin header (DNS rebinding). */
export const guards = { hostHeaderValidation, originValidation }

export { findOutOfBounds }

/** What the HTTP side needs to know of a request before the SDKs process it. */
export type Inspected = {
  method: string | undefined
  /** Null if absent, or too long to be repeated. */
  id: string | number | null
  /** Undefined unless it is a tools/call of a tool that exists. */
  tool: Tool | undefined
  isToolCall: boolean
  /** The scope that the request requires; undefined: none. */
  scope: Scope | undefined
  /** The access_token argument of a tool call, unvalidated. */
  accessTokenArgument: unknown
}

function inspectBody(body: unknown, findTool: Toolset['find']): Inspected {
  const { method, id, params } = (body ?? {}) as Record<string, unknown>
  const isToolCall = method === 'tools/call'
  const { name, arguments: args } = (isToolCall && params ? params : {}) as Record<string, unknown>
  const tool = typeof name === 'string' ? findTool(name)?.tool : undefined
  const { uri } = (method === 'resources/read' && params ? params : {}) as Record<string, unknown>
  const resource = typeof uri === 'string' ? findResource(uri) : undefined
  return {
    method: typeof method === 'string' ? method : undefined,
    id: isShortId(id) ? id : null,
    tool,
    isToolCall,
    scope: tool?.scope ?? resource?.scope,
    accessTokenArgument: (args as Record<string, unknown> | null | undefined)?.access_token,
  }
}

/** The response types that a client accepts. */
export type Accepted = { json: boolean; stream: boolean }

type McpOptions = {
  runner: ToolRunner
  publicUrl: string
  /** The prefix of tool names, unless a client asks for short names. */
  toolPrefix: string
}

/**
 * `inspect` reads a parsed JSON-RPC body without trusting it; `handle` answers one POST in its
 * protocol era; `worded` rewrites the tool names in a text as the client's list shows them.
 */
export function createMcpHandler({ runner, publicUrl, toolPrefix }: McpOptions) {
  const info = serverInfo(publicUrl)
  const toolsets = createToolsets(toolPrefix)
  const toolsetFor = (shortNames?: boolean) => (shortNames ? toolsets.short : toolsets.usual)
  const worded = (text: string, shortNames: boolean) => toolsetFor(shortNames).worded(text)
  const inspect = (body: unknown) => inspectBody(body, toolsets.usual.find)
  const calls = new CancellableCalls()
  const legacy = createLegacyHandler(runner, info, calls)
  const modern = createModernHandler(runner, info)
  const answerCall = {
    legacy: createLegacyCalls(runner, calls),
    modern: createModernCalls(runner, info),
  }
  const handle = (
    req: IncomingMessage,
    res: ServerResponse,
    body: unknown,
    asker: RequestIdentity,
    { json, stream }: Accepted,
  ) => {
    const toolset = toolsetFor(asker.shortNames)
    const streams = stream && (!json || inspect(body).tool?.streams === true)
    const call = plainCall(req, body, toolset)
    if (call) return answerCall[call.era]({ ...call, streams }, res, asker)
    const wrong = wrongParams(body)
    if (wrong) return (streams ? sseResponse(res) : jsonResponse(res)).finish(wrong)
    const era = isLegacy(req, body) ? legacy : modern
    return era(req, onWire(res), body, { asker, toolset, streams })
  }
  return { inspect, handle, worded }
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
