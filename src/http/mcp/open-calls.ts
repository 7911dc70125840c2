import type { RequestHandler } from 'express'
import type { OpenCallLimit } from '../rate-limit/open-calls.ts'
import { mcpRequestOf } from './authenticate.ts'

/** Limits the concurrent calls per user of tools that keep a response open (streaming). */
export function limitOpenCalls(open: OpenCallLimit): RequestHandler {
  return (req, res, next) => {
    const request = mcpRequestOf(req)
    const { inspected, asker } = request
    const userId = asker.caller?.userId
    if (userId === undefined || !inspected.tool?.streams || asker.refusal) return next()
    const refusal = asker.early ? null : open.refusal(userId)
    // Refused in the tool result: an HTTP 429 makes MCP clients drop the server.
    if (refusal) request.asker = { ...asker, refusal }
    else open.count(userId, res)
    next()
  }
}
