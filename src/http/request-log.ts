import { randomUUID } from 'node:crypto'
import type { RequestHandler } from 'express'

import type { Logger } from '../log.ts'
import type { Telemetry } from '../telemetry.ts'
import { peekMcpRequest } from './mcp/authenticate.ts'

/** Probes come every few seconds and say nothing. */
const QUIET = new Set(['/livez', '/readyz'])

/**
 * One line per request: what was asked for and how it ended, never what was in it. The id it gives
 * the request is in the `X-Request-Id` header of the answer.
 */
export function requestLog(log: Logger, telemetry: Telemetry, knownPaths: readonly string[]) {
  const handler: RequestHandler = (req, res, next) => {
    const startedAt = performance.now()
    const requestId = randomUUID()
    res.setHeader('X-Request-Id', requestId)
    res.on('close', () => {
      const durationMs = Math.round((performance.now() - startedAt) * 10) / 10
      const route = knownPaths.includes(req.path) ? req.path : 'other'
      telemetry.httpRequest(route, res.statusCode, durationMs)
      const level = QUIET.has(req.path) ? 'debug' : 'info'
      log[level](
        {
          requestId,
          method: req.method,
          route,
          status: res.statusCode,
          durationMs,
          aborted: !res.writableFinished,
          ...describeMcp(peekMcpRequest(req)),
        },
        'request',
      )
    })
    next()
  }
  return handler
}

function describeMcp(request: ReturnType<typeof peekMcpRequest>) {
  if (!request) return {}
  const { inspected, asker } = request
  return {
    rpc: KNOWN_METHODS.has(inspected.method ?? '') ? inspected.method : undefined,
    tool: inspected.tool?.name,
    userId: asker.caller?.userId,
    refused: asker.refusal?.code,
  }
}

/** A method's name is the client's free text until it is one of these. */
const KNOWN_METHODS = new Set([
  'initialize',
  'notifications/cancelled',
  'notifications/initialized',
  'ping',
  'resources/list',
  'resources/read',
  'resources/templates/list',
  'server/discover',
  'tools/call',
  'tools/list',
])
