/** Small corrections around oidc-provider, each with its reason. */

import type { IncomingMessage } from 'node:http'
import { ALL_SCOPES, DEFAULT_SCOPES, isScope } from '../services/scopes.ts'
import type { FlowCookies } from './flow-cookies.ts'
import type { KoaContextWithOIDC, Provider } from './oidc-provider.ts'
import { ROUTES } from './provider.ts'

type Next = () => Promise<void>

/**
 * PUBLIC_URL is the only truth about our own address: whatever a client, or a proxy that was not
 * named in TRUST_PROXY, says of it in forwarded headers is replaced.
 */
export function seenAtPublicUrl(req: IncomingMessage, publicUrl: string): void {
  const { protocol, host } = new URL(publicUrl)
  req.headers['x-forwarded-proto'] = protocol.slice(0, -1)
  req.headers['x-forwarded-host'] = host
}

export function addShims(provider: Provider, cookies: FlowCookies): void {
  provider.use(async (ctx, next) => {
    await next()
    cookies.forBrowser(ctx.req, ctx.res)
  })
  provider.use(withDefaultScope)
  provider.use(withAllScopesListed)
  provider.use(withCrossOriginRegistration)
}

/**
 * Some clients name no scope, or only ones of their own making, and would be refused: they get to
 * ask for what most need. Unknown names beside known ones are ignored by the provider itself.
 */
async function withDefaultScope(ctx: KoaContextWithOIDC, next: Next): Promise<void> {
  if (ctx.path === ROUTES.authorization) {
    const asked = String(ctx.query.scope ?? '').split(' ')
    if (!asked.some(isScope)) {
      const offline = asked.includes('offline_access') ? ['offline_access'] : []
      ctx.query = { ...ctx.query, scope: [...DEFAULT_SCOPES, ...offline].join(' ') }
    }
  }
  await next()
}

/** The provider's own metadata list only the scopes that are not a resource's. */
async function withAllScopesListed(ctx: KoaContextWithOIDC, next: Next): Promise<void> {
  await next()
  const isMetadata = ctx.path.startsWith('/.well-known/') && ctx.status === 200
  if (isMetadata)
    ctx.body = { ...Object(ctx.body), scopes_supported: [...ALL_SCOPES, 'offline_access'] }
}

/** A client in a web page (the Inspector) registers from there; the provider allows the rest. */
async function withCrossOriginRegistration(ctx: KoaContextWithOIDC, next: Next): Promise<void> {
  if (ctx.path !== ROUTES.registration) return next()
  ctx.set('Access-Control-Allow-Origin', '*')
  if (ctx.method !== 'OPTIONS') return next()
  ctx.set('Access-Control-Allow-Methods', 'POST')
  ctx.set('Access-Control-Allow-Headers', 'content-type, mcp-protocol-version')
  ctx.status = 204
}
