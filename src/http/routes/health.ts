import { type RequestHandler, Router } from 'express'
import { healthSummary } from '../../mcp/tools/health-check.ts'
import type { Services } from '../../services/index.ts'

/** How long a database result is shared by all callers; at most one query runs at a time. */
const SHARED_MS = 250

/**
 * GET /livez: the process answers. GET /readyz: it can also serve, with its database and schema.
 * GET /health: a summary for people; 503 when something is wrong, for `curl -f`.
 *
 * Probes of load balancers are not rate-limited, even from a shared address: the database sees few
 * queries, however many probes arrive.
 */
export function healthRoutes(services: Services, limiter: RequestHandler[]): Router {
  const router = Router()
  const isReady = shared(() => services.health.isReady())
  const summary = shared(() => healthSummary(services))
  router.get('/livez', (_req, res) => void res.json({ status: 'ok' }))
  router.get('/readyz', async (_req, res) => {
    const ready = !services.health.isLeaving && (await isReady())
    res.status(ready ? 200 : 503).json({ status: ready ? 'ok' : 'not ready' })
  })
  router.get('/health', ...limiter, async (_req, res) => {
    const health = await summary()
    res.status(health.status === 'healthy' ? 200 : 503).json(health)
  })
  return router
}

/** Single-flight: callers share one answer until {@link SHARED_MS} after it was requested. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let last: { askedAt: number; answer: Promise<T>; isOpen: boolean } | undefined
  return () => {
    const now = performance.now()
    if (last && (last.isOpen || now - last.askedAt < SHARED_MS)) return last.answer
    const asked = { askedAt: now, answer: ask(), isOpen: true }
    const close = () => {
      asked.isOpen = false
    }
    asked.answer.then(close, close)
    last = asked
    return asked.answer
  }
}
