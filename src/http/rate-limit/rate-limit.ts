/**
 * Rate limits per user and per address.
 *
 * Each replica has a memory limiter; behind it are the counters that all replicas share, if a store
 * is configured. While the store is unavailable, the memory limiter alone applies.
 */

import type { Request, RequestHandler } from 'express'
import { ipKeyGenerator } from 'express-rate-limit'
import type { Logger } from '../../log.ts'
import type { Tool } from '../../mcp/definitions/tool.ts'
import { peekVisit } from '../../web/session/browser-session.ts'
import { peekMcpRequest } from '../mcp/authenticate.ts'
import { peekApiRequest } from '../messages/api-caller.ts'
import { type Limiter, type SharedStores, toMiddleware } from './limiter.ts'

export type { SharedStores }

export type Limits = {
  requestsPerMinute: number
  messagesApiRequestsPerMinute: number
  anonymousRequestsPerMinute: number
  registrationsPerHour: number
  signInsPerMinute: number
  searchesPerMinute: number
  oauthRequestsPerMinute: number
  clientRegistrationsPerHour: number
}

const MINUTE_MS = 60_000

const REQUESTS = 'requests'
const MESSAGES = 'messages'
const userKey = (userId: string) => `user:${userId}`

const userCounter = (name: string) => ({
  keyPrefix: `${name}:${userKey('')}`,
  windowMs: MINUTE_MS,
})

/**
 * The user counters of the limiters `requests` and `messages`. With PostgreSQL as the shared store,
 * the statement that finds the session of a token also counts its request in this row
 * (repositories/access/session-checks.ts), or the one that begins its turn
 * (repositories/turns/start-turns-statement.ts): one round trip less. Such a request carries its
 * count, and the limiter counts only those that have none.
 */
export const userCounters = (limits: UserLimits) => ({
  requests: { ...userCounter(REQUESTS), limit: limits.requestsPerMinute },
  messages: { ...userCounter(MESSAGES), limit: limits.messagesApiRequestsPerMinute },
})

type UserLimits = Pick<Limits, 'requestsPerMinute' | 'messagesApiRequestsPerMinute'>

/** A tool call and the same action on a page share one counter. */
export type RateLimiters = {
  /** Every request, per user, or per address without one. */
  requests: RequestHandler[]
  /** Calls of the Messages API, per user, or per address without one. */
  messages: RequestHandler[]
  /** Its counts of tokens and lists of models, which cost nothing: clients ask for dozens at once. */
  freeCalls: RequestHandler[]
  /** Per address; on /mcp they count only the tools they are for. */
  registrations: RequestHandler[]
  signIns: RequestHandler[]
  /** Per user, of the one tool. */
  searches: RequestHandler[]
  /** Per address, for the endpoints of OAuth. */
  oauth: RequestHandler[]
  clientRegistrations: RequestHandler[]
  /** Per address, for public documents. Each process counts separately. */
  publicDocuments: RequestHandler[]
}

/** Many times what a client fetches, and far below any noticeable load. */
const PUBLIC_DOCUMENTS_PER_MINUTE = 600
/** Per user; Claude Code asks for 24 in a moment. */
const FREE_CALLS_PER_MINUTE = 1200

export function rateLimits(limits: Limits, stores: SharedStores, log: Logger): RateLimiters {
  const build = (limiter: Limiter) => toMiddleware(limiter, stores, log)
  const perUser = (limit: number) => ({
    windowMs: MINUTE_MS,
    limit: (req: Request) => (userOf(req) ? limit : limits.anonymousRequestsPerMinute),
    key: (req: Request) => {
      const userId = userOf(req)
      return userId ? userKey(userId) : address(req)
    },
  })
  return {
    requests: build({
      ...perUser(limits.requestsPerMinute),
      name: REQUESTS,
      counted: (req) => peekMcpRequest(req)?.count ?? null,
      message: 'Too many requests.',
    }),
    messages: build({
      ...perUser(limits.messagesApiRequestsPerMinute),
      name: MESSAGES,
      counted: (req) => peekApiRequest(req)?.count ?? null,
      message: 'Too many calls of the Messages API.',
    }),
    freeCalls: build({
      ...perUser(FREE_CALLS_PER_MINUTE),
      name: 'free-calls',
      message: 'Too many counts of tokens or lists of models.',
    }),
    registrations: build({
      name: 'registrations',
      windowMs: 60 * MINUTE_MS,
      limit: () => limits.registrationsPerHour,
      key: address,
      skip: isOtherTool('registration'),
      message: 'Too many registrations from this address.',
    }),
    signIns: build({
      name: 'sign-ins',
      windowMs: MINUTE_MS,
      limit: () => limits.signInsPerMinute,
      key: address,
      skip: isOtherTool('sign-in'),
      message: 'Too many sign-ins from this address.',
    }),
    searches: build({
      name: 'searches',
      windowMs: MINUTE_MS,
      limit: () => limits.searchesPerMinute,
      key: (req) => `user:${userOf(req)}`,
      skip: (req) => userOf(req) === undefined || isOtherTool('search')(req),
      message: 'Too many searches.',
    }),
    oauth: build({
      name: 'oauth',
      windowMs: MINUTE_MS,
      limit: () => limits.oauthRequestsPerMinute,
      key: (req) => `${endpointOf(req)}:${address(req)}`,
      message: 'Too many requests from this address.',
    }),
    clientRegistrations: build({
      name: 'client-registrations',
      windowMs: 60 * MINUTE_MS,
      limit: () => limits.clientRegistrationsPerHour,
      key: address,
      message: 'Too many client registrations from this address.',
    }),
    publicDocuments: toMiddleware(
      {
        name: 'public-documents',
        windowMs: MINUTE_MS,
        limit: () => PUBLIC_DOCUMENTS_PER_MINUTE,
        key: address,
        message: 'Too many requests from this address.',
      },
      undefined,
      log,
    ),
  }
}

/** All addresses below /oauth/authorize/ are one endpoint: the rest of the path is an id. */
const endpointOf = ({ path }: Request) => path.replace(/^(\/oauth\/authorize\/).+$/, '$1:uid')

const userOf = (req: Request) =>
  peekMcpRequest(req)?.asker.caller?.userId ??
  peekApiRequest(req)?.caller?.userId ??
  peekVisit(req)?.caller?.userId

const isOtherTool = (kind: Tool['limitedAs']) => (req: Request) => {
  const request = peekMcpRequest(req)
  return request !== undefined && request.inspected.tool?.limitedAs !== kind
}

const address = (req: Request) => `address:${ipKeyGenerator(req.ip ?? '')}`
