/** What is asked of the body of a request to the MCP endpoint, before its message is looked at. */

import type { Request, RequestHandler } from 'express'
import { findOutOfBounds } from '../../mcp/index.ts'
import { replaceHeader } from '../replace-header.ts'
import { INVALID_REQUEST, SERVER_ERROR, sendJsonRpcError } from './json-rpc.ts'

const isJsonPost = (req: Request) => req.method === 'POST' && Boolean(req.is('application/json'))

/** Nothing else is read. */
export const whenJson =
  (handler: RequestHandler): RequestHandler =>
  (req, res, next) =>
    isJsonPost(req) ? handler(req, res, next) : next()

/** No session, hence no server stream to GET and nothing to DELETE (MCP, Streamable HTTP). */
export const postOnly: RequestHandler = (req, res, next) => {
  if (req.method === 'POST') return next()
  res.setHeader('Allow', 'POST')
  sendJsonRpcError(res, 405, { code: SERVER_ERROR, message: 'Method not allowed. Use POST.' })
}

/** Not a name that is registered, and what many write. */
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

/** What is wrong with the body is for who may ask, and they are not known yet. */
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

/** Batches left the protocol in 2025-06-18, and would pass many calls as one through the limits. */
export const singleMessage: RequestHandler = (req, res, next) => {
  const body: unknown = req.body
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return next()
  const message = 'The body must be one JSON-RPC message. Batches are not supported.'
  sendJsonRpcError(res, 400, { code: INVALID_REQUEST, message })
}
