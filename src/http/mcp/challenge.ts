/**
 * Refuses a request that needs a token and has no valid one, with the challenge by which a client
 * signs in (RFC 6750, section 3; RFC 9728, section 5.1; MCP authorization), and with a message that
 * names both ways to connect.
 */

import type { Request, RequestHandler, Response } from 'express'
import { AppError } from '../../errors.ts'
import { MCP_PATH, OPEN_MCP_PATH } from '../../network/mcp-addresses.ts'
import type { OwnOrigins } from '../../network/own-origins.ts'
import { DEFAULT_SCOPES, insufficientScope } from '../../services/access/scopes.ts'
import { inOrder } from '../in-order.ts'
import { mcpRequestOf, peekMcpRequest } from './authenticate.ts'
import { sendAppError } from './json-rpc.ts'
import { misplacedToken } from './token-mistakes.ts'
import { namesQuery } from './tool-names-asked.ts'

/** One of the two addresses of the endpoint. */
export type Entrance = {
  path: typeof MCP_PATH | typeof OPEN_MCP_PATH
  origins: OwnOrigins
  /** Whether the open address is served. */
  isOpenServed: boolean
  /** The text, with tool names as this client sees them. */
  worded: (req: Request, text: string) => string
}

/** Path of the metadata of a protected resource, followed by its own path (RFC 9728, section 3). */
export const RESOURCE_METADATA = '/.well-known/oauth-protected-resource'

/**
 * Refuses a request without an Authorization header; its message is not read.
 *
 * @param limiters still count it.
 */
export function requireHeader(entrance: Entrance, limiters: RequestHandler[]): RequestHandler {
  const refuse = inOrder(...limiters, (req, res) =>
    challenge(req, res, missing(req, entrance), entrance),
  )
  return (req, res, next) =>
    req.headers.authorization === undefined ? refuse(req, res, next) : next()
}

/** Refuses a bad token, or a missing one where one is needed. */
export function requireCaller(entrance: Entrance): RequestHandler {
  return (req, res, next) => {
    const { inspected, asker, httpRefusal } = mcpRequestOf(req)
    const isIn = asker.caller || asker.refusal || !inspected.needsCaller
    const refusal = httpRefusal ?? (isIn ? missingScope(req) : missing(req, entrance))
    if (refusal) challenge(req, res, refusal, entrance)
    else next()
  }
}

function challenge(req: Request, res: Response, refusal: AppError, entrance: Entrance): void {
  const params = challengeFor(refusal, req)
  if (params) {
    const resource_metadata = `${entrance.origins.askedBy(req)}${RESOURCE_METADATA}${entrance.path}${namesQuery(req)}`
    const quoted = Object.entries({ ...params, resource_metadata }).map(
      ([name, value]) => `${name}="${value}"`,
    )
    res.setHeader('WWW-Authenticate', `Bearer ${quoted.join(', ')}`)
  }
  const isToken = refusal.status === 401 && peekMcpRequest(req)?.httpRefusal === refusal
  sendAppError(
    res,
    isToken ? withWaysIn(refusal, req, entrance) : refusal,
    peekMcpRequest(req)?.inspected.id,
  )
}

/** The parameters of the challenge; undefined for refusals that have none. */
function challengeFor(
  { status, code }: AppError,
  req: Request,
): Record<string, string> | undefined {
  if (code === 'insufficient_scope') return { error: code, scope: neededScopes(req).join(' ') }
  if (status !== 401) return undefined
  const scope = DEFAULT_SCOPES.join(' ')
  return peekMcpRequest(req)?.httpRefusal ? { error: 'invalid_token', scope } : { scope }
}

/** Only for a token in the header: the scopes of an argument's token are checked by the tool. */
function missingScope(req: Request): AppError | null {
  const { inspected, asker, isBearer } = mcpRequestOf(req)
  const { scope } = inspected
  if (!isBearer || scope === undefined || asker.caller?.scopes.includes(scope) !== false)
    return null
  return insufficientScope([scope])
}

/** All scopes: a client requests only those that the challenge names, and would lose the rest. */
function neededScopes(req: Request): readonly string[] {
  const { inspected, asker } = mcpRequestOf(req)
  return [...(asker.caller?.scopes ?? []), ...(inspected.scope ? [inspected.scope] : [])]
}

const missing = (req: Request, entrance: Entrance) =>
  withWaysIn(
    new AppError('unauthenticated', `This request needs an access token.${misplacedToken(req)}`),
    req,
    entrance,
  )

const withWaysIn = ({ code, message, cause }: AppError, req: Request, entrance: Entrance) =>
  new AppError(code, entrance.worded(req, `${message} ${waysIn(req, entrance)}`), { cause })

function waysIn(req: Request, { path, origins, isOpenServed }: Entrance): string {
  const origin = origins.askedBy(req)
  const connect = `connect by OAuth, or send a token of ${origin}/account/tokens as Authorization: Bearer`
  if (path === OPEN_MCP_PATH) {
    return `Pass one as the argument access_token (authenticate_user gives one); or go to ${origin}${MCP_PATH} and ${connect}.`
  }
  const open = `; or go to ${origin}${OPEN_MCP_PATH}, where register_user and authenticate_user need none and the other tools take it as the argument access_token`
  return `At this address ${connect}${isOpenServed ? open : ''}.`
}
