import type { RequestHandler } from 'express'
import { createMcpHandler, findOutOfBounds, guards } from '../../mcp/index.ts'
import type { ToolRunner } from '../../mcp/run-tool.ts'
import { acceptedOf, negotiate } from '../accepted.ts'
import { admitBody, type BodyAdmission } from '../admit-body.ts'
import { identifyCaller, mcpRequestOf, requireCaller } from '../caller.ts'
import { cors } from '../cors.ts'
import { inOrder } from '../in-order.ts'
import { jsonBody } from '../json-body.ts'
import { INVALID_REQUEST, SERVER_ERROR, sendJsonRpcError } from '../json-rpc.ts'
import { limitOpenCalls } from '../open-calls.ts'
import { replaceHeader } from '../replace-header.ts'
import { knownToolNames } from '../tool-names-asked.ts'

type McpEndpointOptions = {
  runner: ToolRunner
  publicUrl: string
  toolPrefix: string
  limiters: RequestHandler[]
  admission: BodyAdmission
  maxOpenCallsPerUser: number
  allowedHosts: string[]
  allowedOrigins: string[]
  maxBodyBytes: number
  anonymous: boolean
  resourceMetadataUrl: string
}

/** A generous share for what is in a body besides a tool's arguments, which have their own bound. */
const OTHER_VALUES = 10_000

/** POST /mcp: the MCP endpoint of both protocol eras. What a request passes, top to bottom. */
export function mcpEndpoint(options: McpEndpointOptions): RequestHandler {
  const { runner, anonymous, resourceMetadataUrl } = options
  const { inspect, handle } = createMcpHandler(options)
  const { sessions } = runner.services
  const { knownTokens } = options.admission
  return inOrder([
    guards.hostHeaderValidation(options.allowedHosts),
    guards.originValidation(options.allowedOrigins),
    cors,
    noStore,
    knownToolNames,
    postOnly,
    jsonOnly,
    negotiate,
    admitBody(options.admission, options.maxBodyBytes),
    jsonBody(options.maxBodyBytes, runner.maxToolInputElements + OTHER_VALUES),
    singleMessage,
    withinBounds,
    identifyCaller({ sessions, knownTokens, inspect }),
    ...options.limiters,
    limitOpenCalls(options.maxOpenCallsPerUser),
    requireCaller({ anonymous, resourceMetadataUrl }),
    (req, res) => handle(req, res, req.body, mcpRequestOf(req).asker, acceptedOf(req)),
  ])
}

/** No session, hence no server stream to GET and nothing to DELETE (MCP, Streamable HTTP). */
const postOnly: RequestHandler = (req, res, next) => {
  if (req.method === 'POST') return next()
  res.setHeader('Allow', 'POST')
  sendJsonRpcError(res, 405, { code: SERVER_ERROR, message: 'Method not allowed. Use POST.' })
}

/** Not a name that is registered, and what many write. */
const UTF8_WITHOUT_DASH = /;\s*charset="?utf8"?\s*(?:;|$)/i
const UTF8_JSON = 'application/json; charset=utf-8'

const jsonOnly: RequestHandler = (req, res, next) => {
  if (req.is('application/json')) {
    const type = req.headers['content-type'] ?? ''
    if (UTF8_WITHOUT_DASH.test(type)) replaceHeader(req, 'content-type', UTF8_JSON)
    return next()
  }
  const message = 'Content-Type must be application/json.'
  sendJsonRpcError(res, 415, { code: INVALID_REQUEST, message })
}

/** Errors too: they may say whose token it was. */
const noStore: RequestHandler = (_req, res, next) => {
  res.setHeader('Cache-Control', 'no-store')
  next()
}

/** Before anybody is asked about: it is about the message alone, of whichever era. */
const withinBounds: RequestHandler = (req, res, next) => {
  const outOfBounds = findOutOfBounds(req.body)
  if (!outOfBounds) return next()
  const { id, ...error } = outOfBounds
  sendJsonRpcError(res, 400, error, id)
}

/** Batches left the protocol in 2025-06-18, and would pass many calls as one through the limits. */
const singleMessage: RequestHandler = (req, res, next) => {
  const body: unknown = req.body
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return next()
  const message = 'The body must be one JSON-RPC message. Batches are not supported.'
  sendJsonRpcError(res, 400, { code: INVALID_REQUEST, message })
}
