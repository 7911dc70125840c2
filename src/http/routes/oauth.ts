import { type RequestHandler, Router } from 'express'
import type { AuthorizationServer } from '../../oauth/authorization-server.ts'
import { ROUTES } from '../../oauth/provider.ts'
import { DEFAULT_SCOPES } from '../../services/scopes.ts'
import { pageSecurity } from '../page-security.ts'

const METADATA = '/.well-known/oauth-authorization-server'

/** RFC 8414 and OpenID Connect Discovery; some clients append the path of the resource. */
const METADATA_PATHS = [
  METADATA,
  `${METADATA}/mcp`,
  '/.well-known/openid-configuration',
  '/.well-known/openid-configuration/mcp',
]

const RESOURCE_PATHS = [
  '/.well-known/oauth-protected-resource',
  '/.well-known/oauth-protected-resource/mcp',
]

/** Clients in web pages ask for metadata with headers of their own, which a browser asks about first. */
const preflight: RequestHandler = (_req, res) => {
  res.setHeader('Access-Control-Allow-Origin', '*')
  res.setHeader('Access-Control-Allow-Methods', 'GET, HEAD')
  // A wildcard does not cover Authorization (Fetch Standard, 4.9).
  res.setHeader('Access-Control-Allow-Headers', '*, Authorization')
  res.setHeader('Access-Control-Max-Age', '7200')
  res.status(204).end()
}

/** Where a token for /mcp comes from (RFC 9728), at both addresses that clients try. */
export function protectedResourceRoutes(publicUrl: string): Router {
  const router = Router()
  const metadata = {
    resource: `${publicUrl}/mcp`,
    resource_name: 'Claude API Gateway',
    authorization_servers: [publicUrl],
    // The least that a client needs; it asks for more when a 403 tells it to.
    scopes_supported: DEFAULT_SCOPES,
    bearer_methods_supported: ['header'],
  }
  router.options([...RESOURCE_PATHS, ...METADATA_PATHS, ROUTES.jwks], preflight)
  router.get(
    RESOURCE_PATHS,
    (_req, res) => void res.setHeader('Access-Control-Allow-Origin', '*').json(metadata),
  )
  return router
}

type Limiters = { clientRegistrations: RequestHandler[]; oauth: RequestHandler[] }

/** Where the browser comes back to from the consent page. */
const RESUME_PATH = `${ROUTES.authorization}/:uid`

/**
 * The authorization server's endpoints, each behind its limit. The consent page is a page.
 *
 * By their exact spelling: the provider takes any case, and each spelling would have a limit of
 * its own.
 */
export function authorizationServerRoutes(server: AuthorizationServer, limiters: Limiters): Router {
  const router = Router({ caseSensitive: true, strict: true })
  const { registration, authorization, token, revocation } = ROUTES
  router.all(METADATA_PATHS, (req, res) => {
    req.url = METADATA
    return server.handle(req, res)
  })
  router.post(registration, ...limiters.clientRegistrations)
  router.all([authorization, token, revocation], ...limiters.oauth)
  router.all([authorization, RESUME_PATH], pageSecurity)
  router.all([...Object.values(ROUTES), RESUME_PATH], (req, res) => server.handle(req, res))
  return router
}

export const resourceMetadataUrl = (publicUrl: string) =>
  `${publicUrl}/.well-known/oauth-protected-resource/mcp`
