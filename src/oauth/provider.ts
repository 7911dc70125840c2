/** oidc-provider, configured: what kind of authorization server this is. */

import { newId } from '../crypto/random.ts'
import type { SigningKey } from '../crypto/tokens.ts'
import { MCP_PATH, OPEN_MCP_PATH, SHORT_NAMES_QUERY } from '../mcp-addresses.ts'
import type { OwnOrigins } from '../own-origins.ts'
import { ALL_SCOPES } from '../services/scopes.ts'
import type { ClientDocuments } from './client-documents.ts'
import { adaptClientMetadata } from './client-metadata.ts'
import type { ErrorPage, UnreadDocument } from './error-page.ts'
import { PROVIDER_COOKIES } from './flow-cookies.ts'
import {
  type Configuration,
  errors,
  type KoaContextWithOIDC,
  OidcProvider,
  type Provider,
} from './oidc-provider.ts'
import { type RecordStore, Records } from './records.ts'

export const ACCESS_TOKEN_SECONDS = 15 * 60
/** Long enough to sign up and to fetch an Anthropic key in between. */
export const PENDING_SECONDS = 60 * 60
const CODE_SECONDS = 60

export type ProviderOptions = {
  /** The issuer. */
  origin: string
  /** The same server under all its names, whose resources are the same too. */
  origins: OwnOrigins
  /** All verify and are published; the signer signs. */
  keys: { signer: SigningKey; all: readonly SigningKey[] }
  store: RecordStore
  documents: ClientDocuments
  /** The page that tells somebody in a browser what went wrong. */
  errorPage: ErrorPage
}

export const ROUTES = {
  authorization: '/oauth/authorize',
  token: '/oauth/token',
  registration: '/oauth/register',
  revocation: '/oauth/revoke',
  jwks: '/oauth/jwks',
} as const

export function createProvider(options: ProviderOptions): Provider {
  const provider = new OidcProvider(options.origin, configuration(options))
  // It is told our own URL in these headers, whatever the client sent in them.
  provider.proxy = true
  return provider
}

function configuration(options: ProviderOptions): Configuration {
  const { origin, origins, keys, store, documents, errorPage } = options
  const resource = `${origin}${MCP_PATH}`
  const audiences = audiencesOf(origins)
  return {
    adapter: (model: string) => new Records(model, store),
    routes: ROUTES,
    jwks: { keys: keys.all.map(toPrivateJwk) as NonNullable<Configuration['jwks']>['keys'] },
    clockTolerance: 60,
    scopes: ['offline_access'],
    responseTypes: ['code'],
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post'],
    // RFC 7591, section 2: a server may choose other defaults. A client that cannot refresh
    // would send its user to sign in every quarter of an hour.
    clientDefaults: {
      grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: 'EdDSA',
    },
    enabledJWA: { idTokenSigningAlgValues: ['EdDSA'] },
    pkce: { required: () => true },
    cookies: { names: PROVIDER_COOKIES },
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    interactions: { url: (_ctx, { uid }) => `/connect/${uid}` },
    // Every connection is approved by itself: no earlier approval counts for a new one.
    loadExistingGrant: (ctx) => approvedGrant(ctx),
    // Only with `offline_access` otherwise, and by far not every client asks for that.
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    expiresWithSession: () => false,
    clientBasedCORS: () => true,
    ttl: {
      AccessToken: ACCESS_TOKEN_SECONDS,
      AuthorizationCode: CODE_SECONDS,
      Grant: PENDING_SECONDS,
      Interaction: PENDING_SECONDS,
      Session: PENDING_SECONDS,
      RefreshToken: (ctx) => secondsLeft(ctx.oidc.entities.Grant?.exp),
    },
    formats: {
      customizers: {
        // A grant has its session's id, and that is what a token of /mcp names.
        jwt: (_ctx, token, { payload }) => {
          if ('grantId' in token) payload.jti = token.grantId
        },
      },
    },
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      revocation: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
      },
      registration: {
        enabled: true,
        issueRegistrationAccessToken: false,
        // The one hook between the parsed body and its validation.
        idFactory: (ctx) => {
          const { oidc }: { oidc: { body?: Record<string, unknown> | undefined } } = ctx
          oidc.body = adaptClientMetadata(oidc.body ?? {})
          return newId()
        },
      },
      clientIdMetadataDocument: { enabled: documents.areTaken, ack: 'draft-02' },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, indicator) => {
          const audience = audiences.get(indicator.replace(/\/$/, ''))
          if (audience === undefined) {
            throw new errors.InvalidTarget(`the only resource here is ${resource}`)
          }
          return {
            scope: ALL_SCOPES.join(' '),
            audience,
            accessTokenFormat: 'jwt',
            accessTokenTTL: ACCESS_TOKEN_SECONDS,
            jwt: { sign: { alg: 'EdDSA', kid: keys.signer.kid } },
          }
        },
      },
    },
    fetch: async (url, init) => adapted(await documents.get(String(url), init?.headers)),
    renderError: (ctx, { error, error_description: description = '' }) => {
      ctx.type = 'html'
      const document = unreadDocument(ctx.query.client_id, documents)
      ctx.body = errorPage({ error, description, document })
    },
  }
}

/** Of a client that introduced itself by an address, and of which nothing else is known. */
function unreadDocument(clientId: unknown, documents: ClientDocuments): UnreadDocument | undefined {
  if (typeof clientId !== 'string' || !/^https:\/\//i.test(clientId)) return undefined
  const reason = documents.areTaken ? documents.whyNot(clientId) : null
  if (reason === undefined) return undefined
  return { url: clientId, reason, isAnnounced: documents.areAnnounced }
}

/** By the resources that there are: addresses of one endpoint, which takes the same tokens at all. */
const audiencesOf = ({ all }: OwnOrigins): ReadonlyMap<string, string> =>
  new Map(
    all.flatMap((origin) =>
      [MCP_PATH, OPEN_MCP_PATH]
        .flatMap((path) => [path, `${path}${SHORT_NAMES_QUERY}`])
        .map((address) => [`${origin}${address}`, `${origin}${MCP_PATH}`] as const),
    ),
  )

async function approvedGrant({ oidc }: KoaContextWithOIDC) {
  const id = oidc.result?.consent?.grantId
  return id === undefined ? undefined : oidc.provider.Grant.find(id)
}

/** A refresh token lives as long as its connection. */
const secondsLeft = (exp = 0) => Math.max(1, exp - Math.floor(Date.now() / 1000))

const toPrivateJwk = ({ kid, privateJwk }: SigningKey) => ({
  ...privateJwk,
  kid,
  alg: 'EdDSA',
  use: 'sig',
})

/** A client's document gets the same treatment as a registration; what is no object, none. */
async function adapted(answer: Response): Promise<Response> {
  if (answer.status !== 200) return answer
  const text = await answer.text()
  const document = parseObject(text)
  // The provider refuses a document that holds a secret, and has to see it for that.
  const isToAdapt = document !== undefined && !('client_secret' in document)
  const body = isToAdapt ? JSON.stringify(adaptClientMetadata(document)) : text
  return new Response(body, { status: 200, headers: answer.headers })
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
