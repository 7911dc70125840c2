import express, { type Express, type RequestHandler } from 'express'
import helmet from 'helmet'
import { heapAndLimitBytes } from '../concurrency/memory.ts'
import type { Config } from '../config/config.ts'
import type { Logger } from '../log.ts'
import { type Features, featuresWithout } from '../mcp/features.ts'
import { guards } from '../mcp/index.ts'
import { LOOPBACK_NAMES } from '../network/loopback.ts'
import { MCP_PATH, OPEN_MCP_PATH } from '../network/mcp-addresses.ts'
import type { OwnOrigins } from '../network/own-origins.ts'
import type { AuthorizationServer } from '../oauth/authorization-server.ts'
import type { Services } from '../services/index.ts'
import type { Telemetry } from '../telemetry.ts'
import { createPageRoutes, PAGE_PATHS, PAGE_PATTERNS } from '../web/index.ts'
import { pageErrors } from '../web/page-errors.ts'
import { isPageVisit } from '../web/page-visit.ts'
import { admitBody, SMALL_BODY_BYTES } from './bodies/admit-body.ts'
import { BodyBudget, bodyBudgetLimits } from './bodies/body-budget.ts'
import { KnownTokens } from './bodies/known-tokens.ts'
import { errorHandler, isMcp, notFound } from './error-handler.ts'
import { fixedHeaders } from './fixed-headers.ts'
import { forwardedAddresses } from './forwarded-addresses.ts'
import { mcpEndpoints, mcpIsElsewhere } from './mcp/endpoint.ts'
import { messagesApi } from './messages/endpoint.ts'
import { MAX_API_BODY_BYTES } from './messages/request-body.ts'
import { rateLimits, type SharedStores } from './rate-limit/rate-limit.ts'
import { requestLog } from './request-log.ts'
import { discoveryRoutes } from './routes/discovery.ts'
import { EXPORT_PATH, exportRoutes } from './routes/export.ts'
import { healthRoutes } from './routes/health.ts'
import { IMPORT_PATH, importRoutes } from './routes/import.ts'
import { metricsRoutes } from './routes/metrics.ts'
import { authorizationServerRoutes, protectedResourceRoutes } from './routes/oauth.ts'

export type HttpParts = {
  config: Config
  origins: OwnOrigins
  services: Services
  authorizationServer: AuthorizationServer
  log: Logger
  telemetry: Telemetry
  stores: SharedStores
  features?: Features | undefined
}

const KNOWN_PATHS = [
  MCP_PATH,
  OPEN_MCP_PATH,
  '/v1/messages',
  '/v1/messages/count_tokens',
  '/v1/models',
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
  IMPORT_PATH,
  ...PAGE_PATHS,
]

/** All routes of the gateway, in order. */
export function createHttpApp(parts: HttpParts): Express {
  const { config, origins, services, authorizationServer, log, telemetry, stores } = parts
  const { http, limits, mcp: mcpOptions } = config
  const limiters = rateLimits(limits, stores, log)
  const publicHost = new URL(http.publicUrl).hostname
  const allowedHosts = [...LOOPBACK_NAMES, publicHost, ...http.allowedHosts]
  const app = express()
  app.disable('x-powered-by')
  app.set('trust proxy', http.trustProxy)
  app.use(forwardedAddresses)
  app.use(requestLog(log, telemetry, { paths: KNOWN_PATHS, patterns: PAGE_PATTERNS }))
  // A connector may open our pages in a popup, and has to reach that window afterwards.
  app.use(fixedHeaders(helmet({ crossOriginOpenerPolicy: false })))
  const admission = {
    budget: new BodyBudget(bodyBudgetLimits(heapAndLimitBytes(), http.maxBodyBytes)),
    knownTokens: new KnownTokens(),
    memory: services.memory,
  }
  const mcp = mcpEndpoints({
    runner: { services, log, telemetry, maxToolInputElements: mcpOptions.maxToolInputElements },
    origins,
    toolPrefix: mcpOptions.toolPrefix,
    features: parts.features ?? (config.sharing.isOn ? undefined : featuresWithout('sharing')),
    isOpenServed: http.mcpOpen,
    limiters,
    allowedHosts,
    allowedOrigins: [...LOOPBACK_NAMES, publicHost, ...http.allowedOrigins],
    admission,
    maxBodyBytes: http.maxBodyBytes,
    maxOpenCallsPerUser: limits.concurrentCallsPerUser,
  })
  // Matched first: nearly every request goes here, and no other route has these paths.
  const open = forClients(mcp[OPEN_MCP_PATH])
  const closed = forClients(mcp[MCP_PATH])
  app.use((req, res, next) => {
    if (req.path === MCP_PATH) return closed(req, res, next)
    if (req.path === OPEN_MCP_PATH) return open(req, res, next)
    next()
  })
  app.use(
    messagesApi({
      services,
      origins,
      limiters,
      maxOpenCallsPerUser: limits.concurrentCallsPerUser,
      allowedHosts,
      rooms: {
        budget: new BodyBudget(bodyBudgetLimits(heapAndLimitBytes(), MAX_API_BODY_BYTES)),
        memory: services.memory,
      },
      log,
    }),
  )
  const smallBodies = admitBody(admission, SMALL_BODY_BYTES)
  app.use((req, res, next) => (isMcp(req) ? next() : smallBodies(req, res, next)))
  app.use(healthRoutes(services, limiters.publicDocuments))
  app.use(metricsRoutes(telemetry, http.metrics, limiters.publicDocuments))
  app.use(protectedResourceRoutes(origins, http.mcpOpen, limiters.publicDocuments))
  app.use(discoveryRoutes(origins, limiters.publicDocuments))
  app.use(authorizationServerRoutes(authorizationServer, limiters))
  // Other spellings of the same paths (case, trailing slash).
  app.all(MCP_PATH, closed)
  app.all(OPEN_MCP_PATH, open)
  app.post('/', ...limiters.publicDocuments, mcpIsElsewhere(origins))
  const hostGuard = guards.hostHeaderValidation(allowedHosts)
  const forTokens = {
    services,
    limiters: limiters.requests,
    hostGuard,
    issuers: origins.all,
  }
  app.use(exportRoutes(forTokens))
  app.use(importRoutes(forTokens))
  app.use(
    createPageRoutes({
      services,
      authorizationServer,
      origins,
      isOpenMcpServed: http.mcpOpen,
      registrationOpen: config.accounts.registrationOpen,
      isSharingOn: config.sharing.isOn,
      limiters,
      admission,
      maxBodyBytes: http.maxBodyBytes,
      hostGuard,
    }),
  )
  app.use(notFound)
  app.use(pageErrors(log))
  app.use(errorHandler(log))
  return app
}

/** A browser that opens the endpoint gets a page instead, from a later route. */
const forClients =
  (endpoint: RequestHandler): RequestHandler =>
  (req, res, next) =>
    isPageVisit(req) ? next() : endpoint(req, res, next)
