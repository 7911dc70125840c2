import { Router } from 'express'
import { healthSummary } from '../../mcp/tools/health-check.ts'
import type { Services } from '../../services/index.ts'

/**
 * GET /livez: the process answers. GET /readyz: it can also serve, with its database and schema.
 * GET /health: a summary for people; 503 when something is wrong, for `curl -f`.
 */
export function healthRoutes(services: Services): Router {
  const router = Router()
  router.get('/livez', (_req, res) => void res.json({ status: 'ok' }))
  router.get('/readyz', async (_req, res) => {
    const isReady = await services.health.isReady()
    res.status(isReady ? 200 : 503).json({ status: isReady ? 'ok' : 'not ready' })
  })
  router.get('/health', async (_req, res) => {
    const health = await healthSummary(services)
    res.status(health.status === 'healthy' ? 200 : 503).json(health)
  })
  return router
}
