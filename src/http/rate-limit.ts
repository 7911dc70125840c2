/**
 * Limits per user and per address.
 *
 * A memory limiter stands in front on every replica; behind it the counters that all replicas
 * share, when there is a store for them. When that store is away the memory limiter alone holds.
 */

import type { Request, RequestHandler, Response } from 'express'
import { ipKeyGenerator, type Options, rateLimit, type Store } from 'express-rate-limit'
import { AppError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Tool } from '../mcp/tool.ts'
import { mcpRequestOf } from './caller.ts'
import { sendAppError } from './json-rpc.ts'

export type Limits = {
  requestsPerMinute: number
  anonymousRequestsPerMinute: number
  registrationsPerHour: number
  signInsPerMinute: number
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

/** In this order: what a user or an address may do at all, then the tighter ones. */
export function rateLimits(limits: Limits, stores: SharedStores, log: Logger): RequestHandler[] {
  const limitedAs = (kind: Tool['limitedAs']) => (req: Request) =>
    mcpRequestOf(req).inspected.tool?.limitedAs !== kind
  const limiters: Limiter[] = [
    {
      name: 'requests',
      windowMs: MINUTE_MS,
      limit: (req) =>
        mcpRequestOf(req).asker.caller
          ? limits.requestsPerMinute
          : limits.anonymousRequestsPerMinute,
      key: (req) => {
        const { caller } = mcpRequestOf(req).asker
        return caller ? `user:${caller.userId}` : address(req)
      },
      message: 'Too many requests.',
    },
    {
      name: 'registrations',
      windowMs: 60 * MINUTE_MS,
      limit: limits.registrationsPerHour,
      key: address,
      skip: limitedAs('registration'),
      message: 'Too many registrations from this address.',
    },
    {
      name: 'sign-ins',
      windowMs: MINUTE_MS,
      limit: limits.signInsPerMinute,
      key: address,
      skip: limitedAs('sign-in'),
      message: 'Too many sign-ins from this address.',
    },
  ]
  return limiters.flatMap((limiter) => toMiddleware(limiter, stores, log))
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
function refuse(req: Request, res: Response, next: () => void, message: string): void {
  const request = mcpRequestOf(req)
  const error = rateLimited(req, message)
  if (request.inspected.isToolCall && !request.httpRefusal) {
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
