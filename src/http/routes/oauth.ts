import { type RequestHandler, Router } from 'express'
import type { AuthorizationServer } from '../../oauth/authorization-server.ts'
import { DEFAULT_SCOPES } from '../../services/scopes.ts'

const METADATA = '/.well-known/oauth-authorization-server'

/** RFC 8414 and OpenID Connect Discovery; some clients append the path of the resource. */
const METADATA_PATHS = [
  METADATA,
  `${METADATA}/mcp`,
  '/.well-known/openid-configuration',
  '/.well-known/openid-configuration/mcp',
]

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
  router.get(
    ['/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/mcp'],
    (_req, res) => void res.setHeader('Access-Control-Allow-Origin', '*').json(metadata),
  )
  return router
}

type Limiters = { clientRegistrations: RequestHandler[]; oauth: RequestHandler[] }

/** The authorization server's endpoints, each behind its limit. The consent page is a page. */
export function authorizationServerRoutes(server: AuthorizationServer, limiters: Limiters): Router {
  const router = Router()
  router.all(METADATA_PATHS, (req, res) => {
    req.url = METADATA
    return server.handle(req, res)
  })
  router.post('/oauth/register', ...limiters.clientRegistrations)
  router.all(['/oauth/authorize', '/oauth/token', '/oauth/revoke'], ...limiters.oauth)
  router.all('/oauth/*rest', (req, res) => server.handle(req, res))
  return router
}

export const resourceMetadataUrl = (publicUrl: string) =>
  `${publicUrl}/.well-known/oauth-protected-resource/mcp`
