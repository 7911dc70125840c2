/**
 * Which headers pass through. Both lists name what must not pass, and everything else does: clients
 * and Anthropic add headers that belong to a feature of the body, and one without the other fails.
 */

/** Of one connection only (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
]

/** Credentials, the body as it came, and what a proxy or a browser says of its user. */
const NOT_SENT = new Set([
  ...HOP_BY_HOP,
  'authorization',
  'x-api-key',
  'cookie',
  'host',
  'expect',
  'content-length',
  'content-encoding',
  'accept-encoding',
  'accept-language',
  'forwarded',
  'x-real-ip',
  'via',
  'true-client-ip',
  'origin',
  'referer',
  'traceparent',
  'tracestate',
  'baggage',
  // Selected by the key.
  'anthropic-organization-id',
  'anthropic-workspace-id',
])
const NOT_SENT_PREFIX = /^(?:proxy-|x-forwarded-|x-gateway-|cf-|cdn-|sec-)/

const NOT_RETURNED = new Set([
  ...HOP_BY_HOP,
  'set-cookie',
  'alt-svc',
  'server',
  'via',
  'strict-transport-security',
  'cache-control',
  'nel',
  'report-to',
  'server-timing',
])
const NOT_RETURNED_PREFIX = /^(?:proxy-|cf-|access-control-|x-gateway-|cross-origin-)/

const BETA = 'anthropic-beta'

/**
 * The headers of a request to Anthropic, names in lower case. Several `anthropic-beta` lines become
 * one, in their order; any other repeated header stays repeated.
 *
 * @param raw names and values in turn, as Node.js gives them.
 */
export function requestHeaders(raw: readonly string[], apiKey: string): Record<string, string[]> {
  const sent = new Map<string, string[]>()
  const named = connectionNames(raw)
  for (const [name, value] of pairs(raw)) {
    if (NOT_SENT.has(name) || NOT_SENT_PREFIX.test(name) || named.has(name)) continue
    sent.set(name, [...(sent.get(name) ?? []), value])
  }
  const betas = sent.get(BETA)
  if (betas) sent.set(BETA, [betas.join(',')])
  return {
    ...Object.fromEntries(sent),
    authorization: [`Bearer ${apiKey}`],
    // A body that is decoded on the way would no longer be the one that its headers describe.
    'accept-encoding': ['identity'],
  }
}

/** They say whose key it was. */
const OF_THE_KEY = new Set(['anthropic-organization-id', 'anthropic-workspace-id'])

/**
 * The headers of an answer to a client. The length of a body that is not decoded stays true.
 *
 * @param isKeyShared whether the key is not the client's own.
 */
export function responseHeaders(
  headers: Record<string, string | string[] | undefined>,
  isKeyShared = false,
): Record<string, string | string[]> {
  const named = new Set(listOf(headers.connection))
  return Object.fromEntries(
    Object.entries(headers).flatMap(([given, value]) => {
      const name = given.toLowerCase()
      const isHidden = isKeyShared && OF_THE_KEY.has(name)
      const isKept = !NOT_RETURNED.has(name) && !NOT_RETURNED_PREFIX.test(name) && !named.has(name)
      return isKept && !isHidden && value !== undefined ? [[name, value]] : []
    }),
  )
}

function* pairs(raw: readonly string[]): Generator<[string, string]> {
  for (let index = 0; index + 1 < raw.length; index += 2) {
    yield [(raw[index] as string).toLowerCase(), raw[index + 1] as string]
  }
}

function connectionNames(raw: readonly string[]): Set<string> {
  const names = [...pairs(raw)].flatMap(([name, value]) =>
    name === 'connection' ? listOf(value) : [],
  )
  return new Set(names)
}

const listOf = (value: string | string[] | undefined) =>
  [value ?? []].flat().flatMap((line) => line.split(',').map((name) => name.trim().toLowerCase()))
