import type { RequestHandler } from 'express'
import { AppError } from '../../errors.ts'
import { mcpRequestOf } from './authenticate.ts'

const RETRY_AFTER_SECONDS = 5

/** Limits the concurrent calls per user of tools that keep a response open (streaming). */
export function limitOpenCalls(maxPerUser: number): RequestHandler {
  const open = new Map<string, number>()
  const add = (userId: string, calls: number) => {
    const now = (open.get(userId) ?? 0) + calls
    if (now > 0) open.set(userId, now)
    else open.delete(userId)
  }
  return (req, res, next) => {
    const request = mcpRequestOf(req)
    const { inspected, asker } = request
    const userId = asker.caller?.userId
    if (userId === undefined || !inspected.tool?.streams || asker.refusal) return next()
    if ((open.get(userId) ?? 0) >= maxPerUser) {
      // Refused in the tool result: an HTTP 429 makes MCP clients drop the server.
      request.asker = { ...asker, refusal: tooMany(maxPerUser) }
      return next()
    }
    add(userId, 1)
    res.on('close', () => add(userId, -1))
    next()
  }
}

const tooMany = (max: number) =>
  new AppError(
    'rate_limited',
    `${max} calls of yours are waiting for answers, as many as may be at once. Try again in ${RETRY_AFTER_SECONDS} s.`,
    { retryAfterSeconds: RETRY_AFTER_SECONDS, details: { limited_by: 'gateway' } },
  )
