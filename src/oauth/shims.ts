/** Small corrections around oidc-provider, each with its reason. */

import type { IncomingMessage } from 'node:http'
import type { AccessTokens } from '../crypto/tokens.ts'
import { ALL_SCOPES, DEFAULT_SCOPES, isScope } from '../services/scopes.ts'
import { withAccessTokenRevocation } from './access-token-revocation.ts'
import type { ClientDocuments } from './client-documents.ts'
import type { ErrorPage } from './error-page.ts'
import type { FlowCookies } from './flow-cookies.ts'
import type { KoaContextWithOIDC, Provider } from './oidc-provider.ts'
import { ROUTES } from './provider.ts'
import { isLoopback } from './redirect-addresses.ts'
import { withRefreshRotation } from './refresh-rotation.ts'

type Next = () => Promise<void>

/**
 * Our own address is known: whatever a client, or a proxy that was not named in TRUST_PROXY, says of
 * it in forwarded headers is replaced.
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
 * Anybody may register a client, so that a link to here could lead anywhere by an error that comes
 * before its reader has decided anything (RFC 9700, section 4.11.2: the authorization server as an
 * open redirector). The error is told here instead, and the way on is for the reader to take. Only
 * a port of the reader's own computer is no place to be lured to.
 *
 * What went wrong is the provider's word, not read from the address: a client may have registered
 * one with an error text of its own in it.
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

/** Our own pages are named by their path alone. */
const clientAddress = (location: string) => (URL.canParse(location) ? new URL(location) : undefined)

/**
 * Some clients name no scope, or only ones of their own making, and would be refused: they get to
 * ask for what most need. Beside known ones other names are left out, `openid` above all: it is
 * known to the provider, which would come back to the consent page for it without end. With it go
 * the parameters that mean something beside it only, and are an error without.
 */
async function withKnownScopes(ctx: KoaContextWithOIDC, next: Next): Promise<void> {
  const { scope = '' } = ctx.query
  // Given twice it is for the provider to refuse.
  if (ctx.path === ROUTES.authorization && typeof scope === 'string') {
    const asked = scope.split(' ')
    const known = asked.filter(isScope)
    const offline = asked.includes('offline_access') ? ['offline_access'] : []
    const scopes = [...(known.length > 0 ? known : DEFAULT_SCOPES), ...offline]
    const { nonce: _nonce, max_age: _maxAge, ...query } = ctx.query
    ctx.query = { ...query, scope: scopes.join(' ') }
  }
  await next()
}

/**
 * `form_post` answers with a page that sends a form to the client by a script, which the policy of
 * our pages forbids twice over. The provider cannot do without it, but it knows no other name.
 */
async function withoutFormPost(ctx: KoaContextWithOIDC, next: Next): Promise<void> {
  if (ctx.path === ROUTES.authorization && ctx.query.response_mode === 'form_post') {
    ctx.query = { ...ctx.query, response_mode: 'unsupported' }
  }
  await next()
}

const withRefreshRotationAtToken = (ctx: KoaContextWithOIDC, next: Next): Promise<void> =>
  ctx.path === ROUTES.token ? withRefreshRotation(ctx, next) : next()

/** What is a secret, or ends one, is for no cache (RFC 6749, section 5.1). */
async function withoutStoring(ctx: KoaContextWithOIDC, next: Next): Promise<void> {
  if (SECRET_ROUTES.includes(ctx.path)) ctx.set('Cache-Control', 'no-store')
  await next()
}

const SECRET_ROUTES: readonly string[] = [ROUTES.token, ROUTES.registration, ROUTES.revocation]

/**
 * The provider's own metadata list only the scopes that are not a resource's, and say that clients'
 * documents are taken also where none can be fetched.
 */
function withOurMetadata(documents: ShimOptions['documents']) {
  return async (ctx: KoaContextWithOIDC, next: Next): Promise<void> => {
    await next()
    const isMetadata = ctx.path.startsWith('/.well-known/') && ctx.status === 200
    if (!isMetadata) return
    const { client_id_metadata_document_supported: _taken, ...metadata } = Object(ctx.body)
    ctx.body = {
      ...metadata,
      scopes_supported: [...ALL_SCOPES, 'offline_access'],
      response_modes_supported: ['query', 'fragment'],
      ...(documents.areAnnounced && { client_id_metadata_document_supported: true }),
    }
  }
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
