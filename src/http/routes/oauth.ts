import { Router } from 'express'

/**
 * Where a token for /mcp comes from (RFC 9728), at both addresses that clients try. This gateway's
 * tokens come from the authenticate_user tool, so no authorization server is named.
 */
export function protectedResourceRoutes(publicUrl: string): Router {
  const router = Router()
  const metadata = {
    resource: `${publicUrl}/mcp`,
    resource_name: 'Claude API Gateway',
    bearer_methods_supported: ['header'],
  }
  router.get(
    ['/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/mcp'],
    (_req, res) => void res.setHeader('Access-Control-Allow-Origin', '*').json(metadata),
  )
  return router
}

export const resourceMetadataUrl = (publicUrl: string) =>
  `${publicUrl}/.well-known/oauth-protected-resource/mcp`
