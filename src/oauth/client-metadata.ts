/**
 * Normalises the metadata that clients declare: registration bodies (RFC 7591) and client ID
 * metadata documents alike.
 */

import { visibleName } from '../text/visible-name.ts'
import { errors } from './oidc-provider.ts'
import { isAllowedRedirect, isLoopback, REDIRECT_RULE } from './redirect-addresses.ts'

/** Others are dropped: logout, keys and sector identifiers would have this server fetch URLs. */
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
/** For `native` clients the provider accepts only these, on any port (RFC 8252, section 7.3). */
const LOOPBACK_WITHOUT_PORT = ['localhost', '127.0.0.1', '[::1]']

type Metadata = Record<string, unknown>

/** @throws invalid_client_metadata or invalid_redirect_uri, which the provider answers with 400. */
export function adaptClientMetadata(given: Metadata): Metadata {
  const known = Object.fromEntries(KNOWN.flatMap((name) => pick(given, name)))
  refuseUnreasonable(known)
  const { client_name: _name, ...rest } = known
  return {
    ...rest,
    ...readableName(known),
    ...supportedGrantTypes(known),
    ...nativeWhereLocal(known),
  }
}

/** The provider refuses a name that is not a string; an invisible name is dropped. */
function readableName({ client_name: given }: Metadata): Metadata {
  if (typeof given !== 'string') return given === undefined ? {} : { client_name: given }
  const name = visibleName(given)
  return name === undefined ? {} : { client_name: name }
}

const pick = (given: Metadata, name: string) =>
  given[name] === undefined ? [] : [[name, given[name]] as const]

function refuseUnreasonable({ client_name: name, redirect_uris: uris }: Metadata): void {
  if (typeof name === 'string' && name.length > MAX_NAME_LENGTH) {
    throw new errors.InvalidClientMetadata(
      `client_name must have at most ${MAX_NAME_LENGTH} characters`,
    )
  }
  // The name is stored, listed to models and shown to people: on one line, in written order.
  if (typeof name === 'string' && /[\p{Cc}\p{Bidi_Control}]/u.test(name)) {
    throw new errors.InvalidClientMetadata('client_name must not hold control characters')
  }
  if (Array.isArray(uris) && uris.length > MAX_REDIRECT_URIS) {
    throw refusedAddress(`at most ${MAX_REDIRECT_URIS} redirect_uris are accepted`)
  }
  if (Array.isArray(uris) && !uris.every(isAllowedRedirect)) {
    throw refusedAddress(`a redirect_uri is not accepted: ${REDIRECT_RULE}`)
  }
}

/** RFC 7591, section 3.2.2; the provider's own error class has a fixed description. */
const refusedAddress = (description: string) =>
  new errors.CustomOIDCProviderError('invalid_redirect_uri', description)

/** VS Code also registers `device_code`, which would fail the whole registration. */
function supportedGrantTypes({ grant_types: types }: Metadata): Metadata {
  if (!Array.isArray(types)) return {}
  return { grant_types: GRANT_TYPES.filter((type) => types.includes(type)) }
}

/**
 * OpenID Connect Registration, section 2: `web`, the default, may not have custom schemes, and only
 * `native` may use any loopback port (RFC 8252, section 7.3). Clients with such addresses seldom
 * declare `native`, so it is set here; a client with only https addresses stays `web`.
 */
function nativeWhereLocal({ redirect_uris: uris }: Metadata): Metadata {
  const isLocal = Array.isArray(uris) && uris.some(isNative)
  return isLocal ? { application_type: 'native' } : {}
}

function isNative(uri: unknown): boolean {
  const url = parseUrl(uri)
  if (!url || url.protocol === 'https:') return false
  return !isLoopback(url) || LOOPBACK_WITHOUT_PORT.includes(url.hostname)
}

const parseUrl = (uri: unknown) =>
  typeof uri === 'string' && URL.canParse(uri) ? new URL(uri) : undefined
