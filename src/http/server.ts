import express, { type Express } from 'express'
import helmet from 'helmet'
import type { Config } from '../config.ts'
import type { Logger } from '../log.ts'
import { guards } from '../mcp/index.ts'
import type { AuthorizationServer } from '../oauth/authorization-server.ts'
import type { Services } from '../services/index.ts'
import { heapAndLimitBytes } from '../services/memory.ts'
import type { Telemetry } from '../telemetry.ts'
import { admitBody, SMALL_BODY_BYTES } from './admit-body.ts'
import { BodyBudget, bodyBudgetLimits } from './body-budget.ts'
import { errorHandler, isMcp, notFound } from './error-handler.ts'
import { fixedHeaders } from './fixed-headers.ts'
import { forwardedAddresses } from './forwarded-addresses.ts'
import { KnownTokens } from './known-tokens.ts'
import { rateLimits, type SharedStores } from './rate-limit.ts'
import { requestLog } from './request-log.ts'
import { discoveryRoutes } from './routes/discovery.ts'
import { EXPORT_PATH, exportRoutes } from './routes/export.ts'
import { healthRoutes } from './routes/health.ts'
import { mcpEndpoint } from './routes/mcp.ts'
import { metricsRoutes } from './routes/metrics.ts'
import {
  authorizationServerRoutes,
  protectedResourceRoutes,
  resourceMetadataUrl,
} from './routes/oauth.ts'
import { createPageRoutes, PAGE_PATHS } from './routes/pages/index.ts'
import { pageErrors } from './routes/pages/page-errors.ts'

export type HttpParts = {
  config: Config
  services: Services
  authorizationServer: AuthorizationServer
  log: Logger
  telemetry: Telemetry
  stores: SharedStores
}

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']
const KNOWN_PATHS = [
  '/mcp',
  '/livez',
  '/readyz',
  '/health',
  '/metrics',
  '/oauth/authorize',
  '/oauth/token',
  '/oauth/register',
  '/oauth/revoke',
  '/oauth/jwks',
  EXPORT_PATH,
  ...PAGE_PATHS,
]

/** Every URL of the gateway, in order. */
export function createHttpApp(parts: HttpParts): Express {
  const { config, services, authorizationServer, log, telemetry, stores } = parts
  const { http, limits, mcp: mcpOptions } = config
  const limiters = rateLimits(limits, stores, log)
  const publicHost = new URL(http.publicUrl).hostname
  const allowedHosts = [...LOOPBACK, publicHost, ...http.allowedHosts]
  const app = express()
  app.disable('x-powered-by')
  app.set('trust proxy', http.trustProxy)
  app.use(forwardedAddresses)
  app.use(requestLog(log, telemetry, KNOWN_PATHS))
  // A connector may open our pages in a window of its own, and talks to that window in the end.
  app.use(fixedHeaders(helmet({ crossOriginOpenerPolicy: false })))
  const admission = {
    budget: new BodyBudget(bodyBudgetLimits(heapAndLimitBytes(), http.maxBodyBytes)),
    knownTokens: new KnownTokens(),
    memory: services.memory,
  }
  const mcp = mcpEndpoint({
    runner: { services, log, telemetry, maxToolInputElements: mcpOptions.maxToolInputElements },
    publicUrl: http.publicUrl,
    toolPrefix: mcpOptions.toolPrefix,
    limiters: [...limiters.requests, ...limiters.registrations, ...limiters.signIns],
    allowedHosts,
    allowedOrigins: [...LOOPBACK, publicHost, ...http.allowedOrigins],
    admission,
    maxBodyBytes: http.maxBodyBytes,
    maxOpenCallsPerUser: limits.concurrentCallsPerUser,
    anonymous: http.anonymous,
    resourceMetadataUrl: resourceMetadataUrl(http.publicUrl),
  })
  // Nearly every request, and none of the others' URLs.
  app.use((req, res, next) => (req.path === '/mcp' ? mcp(req, res, next) : next()))
  const smallBodies = admitBody(admission, SMALL_BODY_BYTES)
  app.use((req, res, next) => (isMcp(req) ? next() : smallBodies(req, res, next)))
  app.use(healthRoutes(services, limiters.publicDocuments))
  app.use(metricsRoutes(telemetry, http.metrics, limiters.publicDocuments))
  app.use(protectedResourceRoutes(http.publicUrl, limiters.publicDocuments))
  app.use(discoveryRoutes(http.publicUrl, limiters.publicDocuments))
  app.use(authorizationServerRoutes(authorizationServer, limiters))
  // In other spellings.
  app.all('/mcp', mcp)
  const hostGuard = guards.hostHeaderValidation(allowedHosts)
  app.use(exportRoutes({ services, limiters: limiters.requests, hostGuard }))
  app.use(
    createPageRoutes({
      services,
      authorizationServer,
      publicUrl: http.publicUrl,
      registrationOpen: config.accounts.registrationOpen,
      limiters,
      hostGuard,
    }),
  )
  app.use(notFound)
  app.use(pageErrors(log))
  app.use(errorHandler(log))
  return app
}
