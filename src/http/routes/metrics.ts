import { createHash, timingSafeEqual } from 'node:crypto'
import { type Request, type RequestHandler, Router } from 'express'
import { AppError } from '../../errors.ts'
import type { Telemetry } from '../../telemetry.ts'

type MetricsAccess = { mode: 'off' | 'loopback' | 'token'; token: string | undefined }

/** GET /metrics for Prometheus. Answers 404 to callers without access. */
export function metricsRoutes(
  telemetry: Telemetry,
  access: MetricsAccess,
  limiter: RequestHandler[],
): Router {
  const router = Router()
  router.get('/metrics', ...limiter, async (req, res) => {
    if (!isAllowed(req, access))
      throw new AppError('not_found', 'There is nothing at this address.')
    res.setHeader('Content-Type', telemetry.contentType)
    res.send(await telemetry.text())
  })
  return router
}

/** Loopback is judged by the socket, since headers can be forged. */
function isAllowed(req: Request, { mode, token }: MetricsAccess): boolean {
  if (mode === 'loopback') return isLoopback(req.socket.remoteAddress ?? '') && !isForwarded(req)
  if (mode !== 'token' || token === undefined) return false
  return sameText(req.headers.authorization ?? '', `Bearer ${token}`)
}

const isLoopback = (address: string) => /^(::1|(::ffff:)?127(\.\d+){3})$/.test(address)

/** A request forwarded by a local proxy is not a local request. */
const isForwarded = (req: Request) =>
  req.headers['x-forwarded-for'] !== undefined || req.headers.forwarded !== undefined

function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
