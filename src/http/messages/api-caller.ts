import { randomUUID } from 'node:crypto'
import type { Request, RequestHandler } from 'express'
import { AppError, toAppError } from '../../errors.ts'
import type { OwnOrigins } from '../../network/own-origins.ts'
import type { Caller } from '../../services/access/caller.ts'
import { readsContext } from '../../services/access/read-ahead.ts'
import type { Scope } from '../../services/access/scopes.ts'
import type { SessionService } from '../../services/access/sessions.ts'
import { apiTokenOf, refused } from './api-token.ts'

/** What the middleware knows of one request to Anthropic's API. */
export type ApiRequest = {
  /** The gateway's own id of it. */
  id: string
  caller: Caller | null
  /** The caller's request count, where finding the session counted this request too. */
  count: { hits: number; resetAt: Date } | null
  refusal: AppError | null
}

const CONTEXT = readsContext(undefined, 'session')
const NEEDED: Scope = 'messages:api'

const requests = new WeakMap<Request, ApiRequest>()

/** Undefined for any other request. */
export const peekApiRequest = (req: Request): ApiRequest | undefined => requests.get(req)

/** @throws Error when {@link identifyApiCaller} did not run before. */
export function apiRequestOf(req: Request): ApiRequest {
  const known = requests.get(req)
  if (!known) throw new Error('identifyApiCaller has to run first')
  return known
}

/** @throws AppError when there is no caller: requireApiCaller has to run first. */
export function apiCallerOf(req: Request): Caller {
  const { caller } = apiRequestOf(req)
  if (!caller) throw new Error('requireApiCaller has to run first')
  return caller
}

/** Gives the request its id. */
export const beginApiRequest: RequestHandler = (req, res, next) => {
  const id = `req_cag_${randomUUID().replaceAll('-', '')}`
  requests.set(req, { id, caller: null, count: null, refusal: null })
  res.setHeader('x-gateway-request-id', id)
  res.setHeader('cache-control', 'no-store')
  next()
}

type How = {
  sessions: Pick<SessionService, 'resolve' | 'resolveAndCount'>
  origins: OwnOrigins
  /** Whether the request counts against its user's limit of calls. */
  isCounted: boolean
}

/** Finds the caller by the token; refuses none yet, so that rate limits count refusals too. */
export function identifyApiCaller({ sessions, origins, isCounted }: How): RequestHandler {
  return async (req, _res, next) => {
    const request = apiRequestOf(req)
    try {
      const token = apiTokenOf(req.headers, origins.askedBy(req))
      const found = isCounted
        ? await sessions.resolveAndCount(token, 'messages', CONTEXT)
        : { caller: await sessions.resolve(token), count: null }
      request.caller = found.caller
      request.count = found.count
    } catch (thrown) {
      request.refusal = toAppError(thrown)
    }
    next()
  }
}

/** Refuses a request without a good token, or whose token lacks the permission. */
export function requireApiCaller(origins: OwnOrigins): RequestHandler {
  return (req, _res, next) => {
    const { caller, refusal } = apiRequestOf(req)
    const origin = origins.askedBy(req)
    if (refusal?.code === 'unauthenticated' && !refusal.message.includes(origin)) {
      throw refused('This token has expired, was revoked, or never was one', origin)
    }
    if (refusal) throw refusal
    if (!caller?.scopes.includes(NEEDED)) throw withoutScope(origin)
    next()
  }
}

const withoutScope = (origin: string) =>
  new AppError(
    'insufficient_scope',
    `This token may not use the Messages API: make one with the permission ${NEEDED} at ${origin}/account/tokens.`,
  )
