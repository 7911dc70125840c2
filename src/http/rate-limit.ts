/**
 * Limits per user and per address.
 *
 * A memory limiter stands in front on every replica; behind it the counters that all replicas
 * share, when there is a store for them. When that store is away the memory limiter alone holds.
 */

import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { ipKeyGenerator, type Options, rateLimit, type Store } from 'express-rate-limit'
import { AppError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Tool } from '../mcp/tool.ts'
import { peekVisit } from './browser-session.ts'
import { peekMcpRequest } from './caller.ts'
import { sendAppError } from './json-rpc.ts'

export type Limits = {
  requestsPerMinute: number
  anonymousRequestsPerMinute: number
  registrationsPerHour: number
  signInsPerMinute: number
  oauthRequestsPerMinute: number
  clientRegistrationsPerHour: number
}

/** Makes a limiter's own store of shared counters; undefined where one process is all there is. */
export type SharedStores = ((prefix: string) => Store) | undefined

type Limiter = {
  name: string
  windowMs: number
  limit: number | ((req: Request) => number)
  key: (req: Request) => string
  skip?: (req: Request) => boolean
  message: string
}

const MINUTE_MS = 60_000

/** Each counts a tool call and the same thing done on a page as one. */
export type RateLimiters = {
  /** Per user, or per address without one: for every request. */
  requests: RequestHandler[]
  /** Per address; on /mcp they count nothing but the tools they are for. */
  registrations: RequestHandler[]
  signIns: RequestHandler[]
  /** Per address, for the endpoints of OAuth. */
  oauth: RequestHandler[]
  clientRegistrations: RequestHandler[]
}

export function rateLimits(limits: Limits, stores: SharedStores, log: Logger): RateLimiters {
  const build = (limiter: Limiter) => toMiddleware(limiter, stores, log)
  return {
    requests: build({
      name: 'requests',
      windowMs: MINUTE_MS,
      limit: (req) => (userOf(req) ? limits.requestsPerMinute : limits.anonymousRequestsPerMinute),
      key: (req) => {
        const userId = userOf(req)
        return userId ? `user:${userId}` : address(req)
      },
      message: 'Too many requests.',
    }),
    registrations: build({
      name: 'registrations',
      windowMs: 60 * MINUTE_MS,
      limit: limits.registrationsPerHour,
      key: address,
      skip: isOtherTool('registration'),
      message: 'Too many registrations from this address.',
    }),
    signIns: build({
      name: 'sign-ins',
      windowMs: MINUTE_MS,
      limit: limits.signInsPerMinute,
      key: address,
      skip: isOtherTool('sign-in'),
      message: 'Too many sign-ins from this address.',
    }),
    oauth: build({
      name: 'oauth',
      windowMs: MINUTE_MS,
      limit: limits.oauthRequestsPerMinute,
      key: (req) => `${req.path}:${address(req)}`,
      message: 'Too many requests from this address.',
    }),
    clientRegistrations: build({
      name: 'client-registrations',
      windowMs: 60 * MINUTE_MS,
      limit: limits.clientRegistrationsPerHour,
      key: address,
      message: 'Too many client registrations from this address.',
    }),
  }
}

const userOf = (req: Request) =>
  peekMcpRequest(req)?.asker.caller?.userId ?? peekVisit(req)?.caller?.userId

const isOtherTool = (kind: Tool['limitedAs']) => (req: Request) => {
  const request = peekMcpRequest(req)
  return request !== undefined && request.inspected.tool?.limitedAs !== kind
}

function toMiddleware(limiter: Limiter, stores: SharedStores, log: Logger): RequestHandler[] {
  const options: Partial<Options> = {
    windowMs: limiter.windowMs,
    limit: limiter.limit,
    keyGenerator: limiter.key,
    identifier: limiter.name,
    legacyHeaders: false,
    // Its own logger writes what a store threw to standard error as it is.
    logger: {
      error: (err, message) => log.warn({ err }, message),
      warn: (err, message) => log.warn({ err }, message),
    },
    handler: (req, res, next) => refuse(req, res, next, limiter.message),
    ...(limiter.skip ? { skip: limiter.skip } : {}),
  }
  if (!stores) return [rateLimit({ ...options, standardHeaders: 'draft-8' })]
  const store = stores(`${limiter.name}:`)
  return [
    rateLimit({ ...options, standardHeaders: false }),
    rateLimit({ ...options, standardHeaders: 'draft-8', store, passOnStoreError: true }),
  ]
}

const address = (req: Request) => `address:${ipKeyGenerator(req.ip ?? '')}`

/**
 * A tool call is refused by its result: an HTTP 429 makes MCP clients drop the server. Anything
 * else gets the 429.
 */
function refuse(req: Request, res: Response, next: NextFunction, message: string): void {
  const request = peekMcpRequest(req)
  const error = rateLimited(req, message)
  if (!request) {
    next(error)
  } else if (request.inspected.isToolCall && !request.httpRefusal) {
    request.asker = { ...request.asker, refusal: error }
    next()
  } else {
    sendAppError(res, error, request.inspected.id)
  }
}

function rateLimited(req: Request, message: string): AppError {
  const { resetTime } = (req as Request & { rateLimit?: { resetTime?: Date } }).rateLimit ?? {}
  const waitMs = resetTime ? resetTime.getTime() - Date.now() : MINUTE_MS
  const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000))
  return new AppError('rate_limited', `${message} Try again in ${retryAfterSeconds} s.`, {
    retryAfterSeconds,
    details: { limited_by: 'gateway' },
  })
}
