/** Small corrections to oidc-provider, each with its reason. */

import type { IncomingMessage } from 'node:http'
import type { AccessTokens } from '../crypto/tokens.ts'
import { CONNECTION_SCOPES, DEFAULT_SCOPES } from '../services/access/scopes.ts'
import { withAccessTokenRevocation } from './access-token-revocation.ts'
import type { ClientDocuments } from './documents/client-documents.ts'
import type { ErrorPage } from './error-page.ts'
import type { FlowCookies } from './flow-cookies.ts'
import type { KoaContextWithOIDC, Provider } from './oidc-provider.ts'
import { ROUTES } from './provider.ts'
import { isLoopback } from './redirect-addresses.ts'
import { withRefreshRotation } from './refresh-rotation.ts'

type Next = () => Promise<void>

/**
 * Overwrites the forwarded headers with our own address: a client, or a proxy that TRUST_PROXY does
 * not name, may have set them.
 */
export function seenAt(req: IncomingMessage, origin: string): void {
  const { protocol, host } = new URL(origin)
  req.headers['x-forwarded-proto'] = protocol.slice(0, -1)
  req.headers['x-forwarded-host'] = host
}

type ShimOptions = {
  cookies: FlowCookies
  documents: Pick<ClientDocuments, 'areAnnounced'>
  tokens: Pick<AccessTokens, 'verify'>
  errorPage: ErrorPage
}

export function addShims(
  provider: Provider,
  { cookies, documents, tokens, errorPage }: ShimOptions,
): void {
  provider.use(async (ctx, next) => {
    await next()
    cookies.forBrowser(ctx.req, ctx.res)
  })
  provider.use(withoutBlindRedirects(provider, errorPage))
  provider.use(withoutFormPost)
  provider.use(withKnownScopes)
  provider.use(withRefreshRotationAtToken)
  provider.use(withAccessTokenRevocation(provider, tokens))
  provider.use(withoutStoring)
  provider.use(withOurMetadata(documents))
  provider.use(withCrossOriginRegistration)
}

/**
 * Anyone may register a client, so an error before the user has decided anything would let a link
 * redirect anywhere (RFC 9700, section 4.11.2: the authorization server as an open redirector). The
 * error is shown on a page instead, with a link to continue. Only loopback addresses are redirected
 * to, which are the user's own computer.
 *
 * The error text comes from the provider, not from the address: a client may have registered an
 * address that contains an error text.
 */
function withoutBlindRedirects(provider: Provider, errorPage: ErrorPage) {
  const told = new WeakMap<IncomingMessage, { error: string; description: string }>()
  provider.on('authorization.error', ({ req }, { error, error_description: description = '' }) => {
    told.set(req, { error, description })
  })
  return async (ctx: KoaContextWithOIDC, next: Next): Promise<void> => {
    await next()
    const onward = clientAddress(ctx.response.get('location'))
    if (ctx.path !== ROUTES.authorization || !onward || isLoopback(onward)) return
    const failure = told.get(ctx.req) ?? { error: 'server_error', description: '' }
    ctx.remove('location')
    ctx.status = 400
    ctx.type = 'html'
    ctx.body = errorPage({ ...failure, onward })
  }
}

/** Our own pages have relative locations, which do not parse. */
const clientAddress = (location: string) => (URL.canParse(location) ? new URL(location) : undefined)

/**
 * Clients that request no known scope would be refused: they get the default scopes. Unknown scopes
 * beside known ones are dropped, above all `openid`: the provider knows it, and would return to the
 * consent page for it forever. Parameters that are valid only with `openid` are dropped too.
 */
async function withKnownScopes(ctx: KoaContextWithOIDC, next: Next): Promise<void> {
  const { scope = '' } = ctx.query
  // The provider refuses a repeated parameter.
  if (ctx.path === ROUTES.authorization && typeof scope === 'string') {
    const asked = scope.split(' ')
    const known = asked.filter((name) => CONNECTION_SCOPES.some((scope) => scope === name))
    const offline = asked.includes('offline_access') ? ['offline_access'] : []
    const scopes = [...(known.length > 0 ? known : DEFAULT_SCOPES), ...offline]
    const { nonce: _nonce, max_age: _maxAge, ...query } = ctx.query
    ctx.query = { ...query, scope: scopes.join(' ') }
  }
  await next()
}

/**
 * `form_post` answers with a page that submits a form to the client by script, which our pages' CSP
 * forbids. The provider cannot disable it, but refuses unknown modes.
 */
async function withoutFormPost(ctx: KoaContextWithOIDC, next: Next): Promise<void> {
  if (ctx.path === ROUTES.authorization && ctx.query.response_mode === 'form_post') {
    ctx.query = { ...ctx.query, response_mode: 'unsupported' }
  }
  await next()
}

const withRefreshRotationAtToken = (ctx: KoaContextWithOIDC, next: Next): Promise<void> =>
  ctx.path === ROUTES.token ? withRefreshRotation(ctx, next) : next()

/** Answers with secrets, or to a revocation, must not be cached (RFC 6749, section 5.1). */
async function withoutStoring(ctx: KoaContextWithOIDC, next: Next): Promise<void> {
  if (SECRET_ROUTES.includes(ctx.path)) ctx.set('Cache-Control', 'no-store')
  await next()
}

const SECRET_ROUTES: readonly string[] = [ROUTES.token, ROUTES.registration, ROUTES.revocation]

/**
 * The provider's own metadata omit the scopes of resources, and announce clients' documents even
 * where none can be fetched.
 */
function withOurMetadata(documents: ShimOptions['documents']) {
  return async (ctx: KoaContextWithOIDC, next: Next): Promise<void> => {
    await next()
    const isMetadata = ctx.path.startsWith('/.well-known/') && ctx.status === 200
    if (!isMetadata) return
    const { client_id_metadata_document_supported: _taken, ...metadata } = Object(ctx.body)
    ctx.body = {
      ...metadata,
      scopes_supported: [...CONNECTION_SCOPES, 'offline_access'],
      response_modes_supported: ['query', 'fragment'],
      ...(documents.areAnnounced && { client_id_metadata_document_supported: true }),
    }
  }
}

/** Lets a client in a web page (the Inspector) register; the provider allows CORS elsewhere. */
async function withCrossOriginRegistration(ctx: KoaContextWithOIDC, next: Next): Promise<void> {
  if (ctx.path !== ROUTES.registration) return next()
  ctx.set('Access-Control-Allow-Origin', '*')
  if (ctx.method !== 'OPTIONS') return next()
  ctx.set('Access-Control-Allow-Methods', 'POST')
  ctx.set('Access-Control-Allow-Headers', 'content-type, mcp-protocol-version')
  ctx.status = 204
}
