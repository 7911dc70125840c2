/** Counts requests, in this process and in the counters that all replicas share, and refuses those above a limit. */

import { hash } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'
import { MemoryStore, type Options, type Store } from 'express-rate-limit'
import { AppError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { peekMcpRequest } from '../mcp/authenticate.ts'
import { sendAppError } from '../mcp/json-rpc.ts'

/** Makes a limiter's shared counters; undefined when there is only one process. */
export type SharedStores = ((prefix: string) => Store) | undefined

export type Limiter = {
  name: string
  windowMs: number
  limit: (req: Request) => number
  key: (req: Request) => string
  /** The count in the shared store, when this request was already counted there. */
  counted?: (req: Request) => Count | null
  skip?: (req: Request) => boolean
  message: string
}

export type Count = { hits: number; resetAt: Date | undefined }

export function toMiddleware(
  limiter: Limiter,
  stores: SharedStores,
  log: Logger,
): RequestHandler[] {
  const { windowMs, skip } = limiter
  const memory = started(new MemoryStore(), windowMs, log)
  const shared = stores && started(stores(`${limiter.name}:`), windowMs, log)
  const limit: RequestHandler = async (req, res, next) => {
    const key = limiter.key(req)
    const max = limiter.limit(req)
    const own = await countIn(memory, key)
    if (shared && own.hits > max && !isAdmitted(req) && !refuse(req, res, own, limiter)) return
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

/** A call that has begun was admitted by the shared count, in the statement that began it. */
const isAdmitted = (req: Request) => peekMcpRequest(req)?.asker.early !== undefined

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
