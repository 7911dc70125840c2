/**
 * `/mcp?tools=short`: for one client that tools are listed without their prefix, where the names would
 * be too long with what that client puts in front.
 */

import type { Request, RequestHandler } from 'express'
import { SHORT_NAMES_QUERY } from '../../network/mcp-addresses.ts'
import { INVALID_REQUEST, sendJsonRpcError } from './json-rpc.ts'

export const wantsShortNames = (req: Request): boolean => asked(req) === 'short'

/** What a request's address has behind its path on that account. */
export const namesQuery = (req: Request) => (wantsShortNames(req) ? SHORT_NAMES_QUERY : '')

/** Refuses what is no way to ask: a client would go on with names that it cannot use. */
export const knownToolNames: RequestHandler = (req, res, next) => {
  const names = asked(req)
  if (names === undefined || names === 'short') return next()
  const message = `The address asks for tools in a way that there is not: only ${SHORT_NAMES_QUERY} is known.`
  sendJsonRpcError(res, 400, { code: INVALID_REQUEST, message })
}

/** Reading a query costs, and hardly any request has one. */
const asked = (req: Request): unknown => (req.url.includes('?') ? req.query.tools : undefined)
