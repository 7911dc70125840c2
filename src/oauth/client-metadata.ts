/**
 * What clients say of themselves, made fit for this server: the body of a registration (RFC 7591)
 * and a client ID metadata document alike.
 */

import { errors } from './oidc-provider.ts'

/** The rest is left out: logout, keys and sector identifiers would have this server fetch URLs. */
const KNOWN = [
  'client_id',
  'client_name',
  'client_uri',
  'redirect_uris',
  'grant_types',
  'response_types',
  'token_endpoint_auth_method',
  'application_type',
  'contacts',
  'tos_uri',
  'policy_uri',
  'software_id',
  'software_version',
]
const GRANT_TYPES = ['authorization_code', 'refresh_token']
const MAX_REDIRECT_URIS = 20
const MAX_NAME_LENGTH = 200
const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']

type Metadata = Record<string, unknown>

/** @throws InvalidClientMetadata or InvalidRedirectUri, which the provider answers with 400. */
export function adaptClientMetadata(given: Metadata): Metadata {
  const known = Object.fromEntries(KNOWN.flatMap((name) => pick(given, name)))
  refuseUnreasonable(known)
  return { ...known, ...supportedGrantTypes(known), ...nativeWhereLocal(known) }
}

const pick = (given: Metadata, name: string) =>
  given[name] === undefined ? [] : [[name, given[name]] as const]

function refuseUnreasonable({ client_name: name, redirect_uris: uris }: Metadata): void {
  if (typeof name === 'string' && name.length > MAX_NAME_LENGTH) {
    throw new errors.InvalidClientMetadata(
      `client_name must have at most ${MAX_NAME_LENGTH} characters`,
    )
  }
  // It is stored, listed to models and shown to people: in one line, in the order it is written.
  if (typeof name === 'string' && /[\p{Cc}\p{Bidi_Control}]/u.test(name)) {
    throw new errors.InvalidClientMetadata('client_name must not hold control characters')
  }
  if (Array.isArray(uris) && uris.length > MAX_REDIRECT_URIS) {
    throw new errors.InvalidRedirectUri(`at most ${MAX_REDIRECT_URIS} redirect_uris are accepted`)
  }
  if (Array.isArray(uris) && uris.some(isUnprotected)) {
    throw new errors.InvalidRedirectUri('http is accepted for loopback addresses only: use https')
  }
}

/** MCP specification, Authorization, Communication Security. The provider holds only `native` clients to it. */
function isUnprotected(uri: unknown): boolean {
  const url = parseUrl(uri)
  return url?.protocol === 'http:' && !LOOPBACK.includes(url.hostname)
}

/** VS Code registers `device_code` too, which would fail the whole registration. */
function supportedGrantTypes({ grant_types: types }: Metadata): Metadata {
  if (!Array.isArray(types)) return {}
  return { grant_types: GRANT_TYPES.filter((type) => types.includes(type)) }
}

/**
 * OpenID Connect Registration, section 2: `web`, the default, may not have custom schemes, and only
 * `native` may come back on another loopback port (RFC 8252, section 7.3). Clients with such
 * addresses seldom say that they are native; one that says `web` of an https address stays so.
 */
function nativeWhereLocal({ redirect_uris: uris }: Metadata): Metadata {
  const isLocal = Array.isArray(uris) && uris.some(isNative)
  return isLocal ? { application_type: 'native' } : {}
}

function isNative(uri: unknown): boolean {
  const url = parseUrl(uri)
  if (!url || url.protocol === 'https:') return false
  return url.protocol !== 'http:' || LOOPBACK.includes(url.hostname)
}

const parseUrl = (uri: unknown) =>
  typeof uri === 'string' && URL.canParse(uri) ? new URL(uri) : undefined
