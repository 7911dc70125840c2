import { type RequestHandler, Router } from 'express'
import { MCP_PATH, OPEN_MCP_PATH } from '../../network/mcp-addresses.ts'
import type { OwnOrigins } from '../../network/own-origins.ts'
import type { AuthorizationServer } from '../../oauth/authorization-server.ts'
import { ROUTES } from '../../oauth/provider.ts'
import { DEFAULT_SCOPES } from '../../services/access/scopes.ts'
import { pageSecurity } from '../../web/kit/page-security.ts'
import { RESOURCE_METADATA } from '../mcp/challenge.ts'
import { namesQuery } from '../mcp/tool-names-asked.ts'
import type { RateLimiters } from '../rate-limit/rate-limit.ts'

const METADATA = '/.well-known/oauth-authorization-server'

/** RFC 8414 and OpenID Connect Discovery; some clients append the path of the resource. */
const METADATA_PATHS = [
  METADATA,
  `${METADATA}${MCP_PATH}`,
  `${METADATA}${OPEN_MCP_PATH}`,
  '/.well-known/openid-configuration',
  `/.well-known/openid-configuration${MCP_PATH}`,
  `/.well-known/openid-configuration${OPEN_MCP_PATH}`,
]

/** Clients in web pages request metadata with custom headers, which cause a CORS preflight. */
const answerPreflight: RequestHandler = (_req, res) => {
  res.setHeader('Access-Control-Allow-Origin', '*')
  res.setHeader('Access-Control-Allow-Methods', 'GET, HEAD')
  // A wildcard does not cover Authorization (Fetch Standard, 4.9).
  res.setHeader('Access-Control-Allow-Headers', '*, Authorization')
  res.setHeader('Access-Control-Max-Age', '7200')
  res.status(204).end()
}

/**
 * Protected resource metadata (RFC 9728) names the authorization server. Each MCP address is a
 * resource with its own metadata; clients look for the first one's without a path, too.
 */
export function protectedResourceRoutes(
  origins: OwnOrigins,
  isOpenMcpServed: boolean,
  limiter: RequestHandler[],
): Router {
  const router = Router()
  const metadata = (origin: string, path: string) => ({
    resource: `${origin}${path}`,
    resource_name: 'Claude API Gateway',
    authorization_servers: [origin],
    // The minimum that a client needs; it requests more when a 403 names it.
    scopes_supported: DEFAULT_SCOPES,
    bearer_methods_supported: ['header'],
  })
  const publish = (path: string, resource: string) => {
    router.options(path, answerPreflight)
    router.get(path, ...limiter, (req, res) => {
      res.setHeader('Access-Control-Allow-Origin', '*')
      // The address as the client knows it, since the client compares the two.
      res.json(metadata(origins.askedBy(req), `${resource}${namesQuery(req)}`))
    })
  }
  publish(RESOURCE_METADATA, MCP_PATH)
  publish(`${RESOURCE_METADATA}${MCP_PATH}`, MCP_PATH)
  if (isOpenMcpServed) publish(`${RESOURCE_METADATA}${OPEN_MCP_PATH}`, OPEN_MCP_PATH)
  router.options([...METADATA_PATHS, ROUTES.jwks], answerPreflight)
  return router
}

type Limiters = Pick<RateLimiters, 'clientRegistrations' | 'oauth' | 'publicDocuments'>

/** Where the browser returns to from the consent page. */
const RESUME_PATH = `${ROUTES.authorization}/:uid`

/**
 * The authorization server's endpoints, each behind its rate limit.
 *
 * Matched by exact spelling and method: the provider ignores case, and each spelling would have a
 * limit of its own. For unknown paths the provider itself says only "not found".
 */
export function authorizationServerRoutes(server: AuthorizationServer, limiters: Limiters): Router {
  const router = Router({ caseSensitive: true, strict: true })
  const { registration, authorization, token, revocation, jwks } = ROUTES
  const handle: RequestHandler = (req, res) => server.handle(req, res)
  const documents = [...METADATA_PATHS, jwks]
  router.all(documents, ...limiters.publicDocuments)
  router.post(registration, ...limiters.clientRegistrations)
  router.all([authorization, RESUME_PATH, token, revocation], ...limiters.oauth)
  router.all([authorization, RESUME_PATH], pageSecurity)
  router.get(METADATA_PATHS, asMetadata, handle)
  router.get([jwks, authorization], handle)
  router.get(RESUME_PATH, withoutQuery, handle)
  router.post([token, revocation, registration], handle)
  // CORS preflight of other origins.
  router.options(METADATA_PATHS, asMetadata, onlyFromPages, handle)
  router.options([jwks, token, revocation, registration], onlyFromPages, handle)
  return router
}

const asMetadata: RequestHandler = (req, _res, next) => {
  req.url = METADATA
  next()
}

const onlyFromPages: RequestHandler = (req, _res, next) =>
  next(req.headers.origin === undefined ? 'route' : undefined)

/** Pending authorizations are in the database; the provider fails on parameters given here. */
const withoutQuery: RequestHandler = (req, _res, next) => {
  req.url = req.path
  next()
}
