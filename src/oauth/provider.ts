/** The configuration of oidc-provider. */

import { newId } from '../crypto/random.ts'
import type { SigningKey } from '../crypto/tokens.ts'
import { MCP_PATH, OPEN_MCP_PATH, SHORT_NAMES_QUERY } from '../network/mcp-addresses.ts'
import type { OwnOrigins } from '../network/own-origins.ts'
import { CONNECTION_SCOPES } from '../services/access/scopes.ts'
import { adaptClientMetadata } from './client-metadata.ts'
import type { ClientDocuments } from './documents/client-documents.ts'
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
/** Long enough to sign up and to get an Anthropic key meanwhile. */
export const PENDING_SECONDS = 60 * 60
const CODE_SECONDS = 60

export type ProviderOptions = {
  /** The issuer. */
  origin: string
  /** All origins of the server; they share their resources. */
  origins: OwnOrigins
  /** All keys verify and are published; the signer signs. */
  keys: { signer: SigningKey; all: readonly SigningKey[] }
  store: RecordStore
  documents: ClientDocuments
  /** Renders the page that shows an error in the browser. */
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
  // These headers are overwritten with our own URL, so a client cannot forge it.
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
    // RFC 7591, section 2: a server may choose other defaults. Without refresh tokens a client's
    // user would have to sign in every 15 minutes.
    clientDefaults: {
      grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: 'EdDSA',
    },
    enabledJWA: { idTokenSigningAlgValues: ['EdDSA'] },
    pkce: { required: () => true },
    cookies: { names: PROVIDER_COOKIES },
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    interactions: { url: (_ctx, { uid }) => `/connect/${uid}` },
    // Each connection is approved separately: earlier approvals do not count for it.
    loadExistingGrant: (ctx) => approvedGrant(ctx),
    // By default only with `offline_access`, which many clients do not request.
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
        // A grant's id is its session's id, which an access token of /mcp names.
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
        // The only hook between parsing the body and validating it.
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
            scope: CONNECTION_SCOPES.join(' '),
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

/** For a client identified by a URL whose document could not be fetched. */
function unreadDocument(clientId: unknown, documents: ClientDocuments): UnreadDocument | undefined {
  if (typeof clientId !== 'string' || !/^https:\/\//i.test(clientId)) return undefined
  const reason = documents.areTaken ? documents.whyNot(clientId) : null
  if (reason === undefined) return undefined
  return { url: clientId, reason, isAnnounced: documents.areAnnounced }
}

/** By resource: all are addresses of one endpoint, which accepts the same tokens at each. */
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

/** Normalises a client's document like a registration, unless it is not an object. */
async function adapted(answer: Response): Promise<Response> {
  if (answer.status !== 200) return answer
  const text = await answer.text()
  const document = parseObject(text)
  // A document with a secret is passed unchanged, so that the provider refuses it.
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
