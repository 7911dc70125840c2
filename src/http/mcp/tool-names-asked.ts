/**
 * `/mcp?tools=short` lists the tools without their prefix, for a client whose own prefix would make
 * the names too long.
 */

import type { Request, RequestHandler } from 'express'
import { SHORT_NAMES_QUERY } from '../../network/mcp-addresses.ts'
import { INVALID_REQUEST, sendJsonRpcError } from './json-rpc.ts'

export const wantsShortNames = (req: Request): boolean => asked(req) === 'short'

/** The query of this request's address that selects the short names, or ''. */
export const namesQuery = (req: Request) => (wantsShortNames(req) ? SHORT_NAMES_QUERY : '')

/** Refuses an unknown value: the client would go on with tool names that it cannot use. */
export const knownToolNames: RequestHandler = (req, res, next) => {
  const names = asked(req)
  if (names === undefined || names === 'short') return next()
  const message = `The address asks for tools in a way that there is not: only ${SHORT_NAMES_QUERY} is known.`
  sendJsonRpcError(res, 400, { code: INVALID_REQUEST, message })
}

/** Parsing a query is costly, and hardly any request has one. */
const asked = (req: Request): unknown => (req.url.includes('?') ? req.query.tools : undefined)
