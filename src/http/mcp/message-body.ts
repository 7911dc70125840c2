/** Checks the body of a request to the MCP endpoint before its message is processed. */

import type { Request, RequestHandler } from 'express'
import { findOutOfBounds } from '../../mcp/index.ts'
import { replaceHeader } from '../replace-header.ts'
import { INVALID_REQUEST, SERVER_ERROR, sendJsonRpcError } from './json-rpc.ts'

const isJsonPost = (req: Request) => req.method === 'POST' && Boolean(req.is('application/json'))

/** Other bodies are not read. */
export const whenJson =
  (handler: RequestHandler): RequestHandler =>
  (req, res, next) =>
    isJsonPost(req) ? handler(req, res, next) : next()

/** No sessions, hence no server stream to GET and nothing to DELETE (MCP, Streamable HTTP). */
export const postOnly: RequestHandler = (req, res, next) => {
  if (req.method === 'POST') return next()
  res.setHeader('Allow', 'POST')
  sendJsonRpcError(res, 405, { code: SERVER_ERROR, message: 'Method not allowed. Use POST.' })
}

/** `utf8` is not a registered charset name, but is widely used. */
const UTF8_WITHOUT_DASH = /;\s*charset="?utf8"?\s*(?:;|$)/i
const UTF8_JSON = 'application/json; charset=utf-8'

export const usualCharset: RequestHandler = (req, _res, next) => {
  const type = req.headers['content-type'] ?? ''
  if (UTF8_WITHOUT_DASH.test(type)) replaceHeader(req, 'content-type', UTF8_JSON)
  next()
}

export const jsonOnly: RequestHandler = (req, res, next) => {
  if (isJsonPost(req)) return next()
  const message = 'Content-Type must be application/json.'
  sendJsonRpcError(res, 415, { code: INVALID_REQUEST, message })
}

const unreadable = new WeakMap<Request, unknown>()

/** Defers errors of the body until the caller is authorized to see them. */
export const toldLater =
  (read: RequestHandler): RequestHandler =>
  (req, res, next) =>
    read(req, res, (error?: unknown) => {
      if (error) unreadable.set(req, error)
      next()
    })

export const readable: RequestHandler = (req, _res, next) => next(unreadable.get(req))

export const withinBounds: RequestHandler = (req, res, next) => {
  const outOfBounds = findOutOfBounds(req.body)
  if (!outOfBounds) return next()
  const { id, ...error } = outOfBounds
  sendJsonRpcError(res, 400, error, id)
}

/** Batches were removed in MCP 2025-06-18; the limits would count many calls as one. */
export const singleMessage: RequestHandler = (req, res, next) => {
  const body: unknown = req.body
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return next()
  const message = 'The body must be one JSON-RPC message. Batches are not supported.'
  sendJsonRpcError(res, 400, { code: INVALID_REQUEST, message })
}
