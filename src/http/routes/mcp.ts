import express, { type RequestHandler, Router } from 'express'
import { createMcpHandler, guards } from '../../mcp/index.ts'
import type { ToolRunner } from '../../mcp/run-tool.ts'
import { refuseManyValues } from '../body-shape.ts'
import { identifyCaller, mcpRequestOf, requireCaller } from '../caller.ts'
import { cors } from '../cors.ts'
import { INVALID_REQUEST, SERVER_ERROR, sendJsonRpcError } from '../json-rpc.ts'

type McpRouteOptions = {
  runner: ToolRunner
  publicUrl: string
  limiters: RequestHandler[]
  allowedHosts: string[]
  allowedOrigins: string[]
  maxBodyBytes: number
  anonymous: boolean
  resourceMetadataUrl: string
}

/** A generous share for what is in a body besides a tool's arguments, which have their own bound. */
const OTHER_VALUES = 10_000

/** POST /mcp: the MCP endpoint of both protocol eras. What a request passes, top to bottom. */
export function mcpRoutes(options: McpRouteOptions): Router {
  const { runner, anonymous, resourceMetadataUrl } = options
  const handle = createMcpHandler(runner, options.publicUrl)
  const router = Router()
  router.use('/mcp', guards.hostHeaderValidation(options.allowedHosts))
  router.use('/mcp', guards.originValidation(options.allowedOrigins))
  router.use('/mcp', cors)
  router.all('/mcp', postOnly)
  router.post(
    '/mcp',
    jsonOnly,
    express.json({
      limit: options.maxBodyBytes,
      strict: false,
      type: () => true,
      verify: refuseManyValues(runner.maxToolInputElements + OTHER_VALUES),
    }),
    singleMessage,
    identifyCaller(runner.services.sessions),
    ...options.limiters,
    requireCaller({ anonymous, resourceMetadataUrl }),
    async (req, res) => handle(req, res, req.body, mcpRequestOf(req).asker),
  )
  return router
}

/** No session, hence no server stream to GET and nothing to DELETE (MCP, Streamable HTTP). */
const postOnly: RequestHandler = (req, res, next) => {
  if (req.method === 'POST') return next()
  res.setHeader('Allow', 'POST')
  sendJsonRpcError(res, 405, { code: SERVER_ERROR, message: 'Method not allowed. Use POST.' })
}

const jsonOnly: RequestHandler = (req, res, next) => {
  if (req.is('application/json')) return next()
  const message = 'Content-Type must be application/json.'
  sendJsonRpcError(res, 415, { code: INVALID_REQUEST, message })
}

/** Batches left the protocol in 2025-06-18, and would pass many calls as one through the limits. */
const singleMessage: RequestHandler = (req, res, next) => {
  const body: unknown = req.body
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return next()
  const message = 'The body must be one JSON-RPC message. Batches are not supported.'
  sendJsonRpcError(res, 400, { code: INVALID_REQUEST, message })
}
