/**
 * Rate limits per user and per address.
 *
 * Each replica has a memory limiter; behind it are the counters that all replicas share, if a store
 * is configured. While the store is unavailable, the memory limiter alone applies.
 */

import { hash } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'
import { ipKeyGenerator, MemoryStore, type Options, type Store } from 'express-rate-limit'
import { AppError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Tool } from '../../mcp/tool.ts'
import { peekVisit } from '../../web/session/browser-session.ts'
import { peekMcpRequest } from '../mcp/authenticate.ts'
import { sendAppError } from '../mcp/json-rpc.ts'

export type Limits = {
  requestsPerMinute: number
  anonymousRequestsPerMinute: number
  registrationsPerHour: number
  signInsPerMinute: number
  oauthRequestsPerMinute: number
  clientRegistrationsPerHour: number
}

/** Makes a limiter's shared counters; undefined when there is only one process. */
export type SharedStores = ((prefix: string) => Store) | undefined

type Limiter = {
  name: string
  windowMs: number
  limit: (req: Request) => number
  key: (req: Request) => string
  /** The count in the shared store, when this request was already counted there. */
  counted?: (req: Request) => Count | null
  skip?: (req: Request) => boolean
  message: string
}

type Count = { hits: number; resetAt: Date | undefined }

const MINUTE_MS = 60_000

/** The user counter of the `requests` limiter, for code that counts a request before it runs. */
export const USER_COUNTER = { keyPrefix: 'requests:user:', windowMs: MINUTE_MS }

/** A tool call and the same action on a page share one counter. */
export type RateLimiters = {
  /** Every request, per user, or per address without one. */
  requests: RequestHandler[]
  /** Per address; on /mcp they count only the tools they are for. */
  registrations: RequestHandler[]
  signIns: RequestHandler[]
  /** Per address, for the endpoints of OAuth. */
  oauth: RequestHandler[]
  clientRegistrations: RequestHandler[]
  /** Per address, for public documents. Each process counts separately. */
  publicDocuments: RequestHandler[]
}

/** Many times what a client fetches, and far below any noticeable load. */
const PUBLIC_DOCUMENTS_PER_MINUTE = 600

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
      counted: (req) => peekMcpRequest(req)?.count ?? null,
      message: 'Too many requests.',
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
  peekMcpRequest(req)?.asker.caller?.userId ?? peekVisit(req)?.caller?.userId

const isOtherTool = (kind: Tool['limitedAs']) => (req: Request) => {
  const request = peekMcpRequest(req)
  return request !== undefined && request.inspected.tool?.limitedAs !== kind
}

function toMiddleware(limiter: Limiter, stores: SharedStores, log: Logger): RequestHandler[] {
  const { windowMs, skip } = limiter
  const memory = started(new MemoryStore(), windowMs, log)
  const shared = stores && started(stores(`${limiter.name}:`), windowMs, log)
  const limit: RequestHandler = async (req, res, next) => {
    const key = limiter.key(req)
    const max = limiter.limit(req)
    const own = await countIn(memory, key)
    if (shared && own.hits > max && !refuse(req, res, own, limiter)) return
    // Where the counters are shared, clients are told the shared count.
    const count = shared ? await countShared(req, key) : own
    if (!count) return next()
    setHeaders(res, limiter, { key, max, count })
    if (count.hits <= max || refuse(req, res, count, limiter)) next()
  }

  async function countShared(req: Request, key: string): Promise<Count | null> {
    const counted = limiter.counted?.(req)
    if (counted) return counted
    return countIn(shared as Store, key).catch((err: unknown) => {
      log.warn({ err }, 'error from store of rate limits, this process counts alone')
      return null
    })
  }
  return [(req, res, next) => (skip?.(req) ? next() : limit(req, res, next))]
}

function started(store: Store, windowMs: number, log: Logger): Store {
  // The stores read only this option of express-rate-limit's.
  Promise.resolve(store.init?.({ windowMs } as Options)).catch((err: unknown) =>
    log.warn({ err }, 'the store of rate limits did not start'),
  )
  return store
}

async function countIn(store: Store, key: string): Promise<Count> {
  const { totalHits, resetTime } = await store.increment(key)
  return { hits: totalHits, resetAt: resetTime }
}

/** Draft 8 of the IETF's RateLimit fields; `pk` separates clients without identifying them. */
function setHeaders(
  res: Response,
  { name, windowMs }: Limiter,
  { key, max, count }: { key: string; max: number; count: Count },
): void {
  const left = Math.max(max - count.hits, 0)
  const partition = Buffer.from(hash('sha256', key).slice(0, 12)).toString('base64')
  res.append('RateLimit', `"${name}"; r=${left}; t=${secondsLeft(count, windowMs)}`)
  res.append('RateLimit-Policy', `"${name}"; q=${max}; w=${windowMs / 1000}; pk=:${partition}:`)
  if (count.hits > max) res.setHeader('Retry-After', secondsLeft(count, windowMs))
}

/** The store's clock may differ by minutes: capped at the whole window. */
function secondsLeft({ resetAt }: Count, windowMs: number): number {
  const leftMs = resetAt ? resetAt.getTime() - Date.now() : windowMs
  return Math.ceil(Math.min(Math.max(leftMs, 0), windowMs) / 1000)
}

const address = (req: Request) => `address:${ipKeyGenerator(req.ip ?? '')}`

/**
 * Refuses a tool call in its result, since an HTTP 429 makes MCP clients drop the server. Any other
 * request gets the 429.
 *
 * @returns whether the request continues, so that its refusal becomes a tool result.
 * @throws AppError on pages, which show it.
 */
function refuse(
  req: Request,
  res: Response,
  count: Count,
  { message, windowMs }: Limiter,
): boolean {
  const request = peekMcpRequest(req)
  const retryAfterSeconds = Math.max(1, secondsLeft(count, windowMs))
  const error = new AppError('rate_limited', `${message} Try again in ${retryAfterSeconds} s.`, {
    retryAfterSeconds,
    details: { limited_by: 'gateway' },
  })
  if (!request) throw error
  if (request.inspected.isToolCall && !request.httpRefusal) {
    request.asker = { ...request.asker, refusal: error }
    return true
  }
  sendAppError(res, error, request.inspected.id)
  return false
}
