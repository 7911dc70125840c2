import { randomUUID } from 'node:crypto'
import type { RequestHandler } from 'express'

import type { Logger } from '../log.ts'
import type { Telemetry } from '../telemetry.ts'
import { peekMcpRequest } from './mcp/authenticate.ts'
import { peekApiRequest } from './messages/api-caller.ts'

/** Probes come every few seconds and tell nothing. */
const QUIET = new Set(['/livez', '/readyz'])

/**
 * Logs one line per request: its method, route and outcome, never its content. The logged request
 * id is also sent in the `X-Request-Id` header of the answer.
 */
export function requestLog(log: Logger, telemetry: Telemetry, routes: KnownRoutes) {
  const routeOf = namingRoutes(routes)
  const handler: RequestHandler = (req, res, next) => {
    const startedAt = performance.now()
    const requestId = randomUUID()
    res.setHeader('X-Request-Id', requestId)
    res.on('close', () => {
      const durationMs = Math.round((performance.now() - startedAt) * 10) / 10
      const route = routeOf(req.path)
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
          ...describeApi(peekApiRequest(req)),
        },
        'request',
      )
    })
    next()
  }
  return handler
}

/** What is logged of a path: itself if it is known, the name of its pattern, or nothing. */
type KnownRoutes = { paths: readonly string[]; patterns: Readonly<Record<string, RegExp>> }

function namingRoutes({ paths, patterns }: KnownRoutes): (path: string) => string {
  const known = new Set(paths)
  const named = Object.entries(patterns)
  return (path) =>
    known.has(path) ? path : (named.find(([, pattern]) => pattern.test(path))?.[0] ?? 'other')
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

function describeApi(request: ReturnType<typeof peekApiRequest>) {
  if (!request) return {}
  return {
    apiRequestId: request.id,
    userId: request.caller?.userId,
    refused: request.refusal?.code,
  }
}

/** Other method names are free text of the client, and are not logged. */
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
