/**
 * Allowlist of redirect addresses of clients.
 *
 * Any other scheme belongs to some program on the user's computer, and a redirect starts it:
 * installers, diagnostics, mail, other pages (RFC 8252, section 8.4; RFC 9700, section 4.11). Some
 * code compares addresses as text, other code parses them, so ambiguous ones are refused.
 */

import { isLoopbackHost } from '../network/loopback.ts'
import { portOf } from '../text/url-port.ts'

/**
 * Callbacks of apps whose scheme has no dot; docs/OPERATIONS.md lists them. Editors pass any link
 * to the extension that its host names, and extensions also clone, install and open by such links:
 * hence only addresses named as callbacks, and without a query.
 */
const EDITORS = [
  'cursor',
  'cursor-nightly',
  'vscode',
  'vscode-insiders',
  'vscodium',
  'windsurf',
  'windsurf-next',
  'antigravity',
  'kiro',
  'trae',
]
const EXTENSION_ADDRESS = /^[a-z-]+:\/\/[\w-]+(?:\.[\w-]+)+((?:\/[\w~-][\w.~-]*)+)$/
const EDITOR_CALLBACK = {
  test: (given: string) => /auth|callback/i.test(EXTENSION_ADDRESS.exec(given)?.[1] ?? ''),
}
const APP_CALLBACKS: readonly (readonly [scheme: string, callback: Pick<RegExp, 'test'>])[] = [
  ...EDITORS.map((scheme) => [scheme, EDITOR_CALLBACK] as const),
  ['raycast', /^raycast:\/\/oauth(?:\?package_name=[\w%().~-]*)?$/],
  ['warp', /^warp:\/\/mcp\/oauth2callback(?:\?server_id=[\w-]+)?$/],
  ['warppreview', /^warppreview:\/\/mcp\/oauth2callback(?:\?server_id=[\w-]+)?$/],
]

/** For the documentation's list. */
export const APP_SCHEMES = APP_CALLBACKS.map(([scheme]) => scheme)

/** RFC 8252, section 7.1: a reversed domain that the app's maker owns; no "x-", no single label. */
const REVERSE_DOMAIN = /^(?:[a-z]{2,}|xn--[a-z0-9-]+)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$/
/** Reversed domains that belong to the operating system. */
const SYSTEM_SCHEME = /^(?:microsoft|windows|android|(?:com|org)\.(?:microsoft|apple|android))\./

/** RFC 3986 without ambiguous parts: user names, fragments, backslashes, spaces. */
const PLAIN = /^[A-Za-z0-9\-._~:/?[\]!$&'()*+,;=%@]+$/

/** The rule, as shown to client developers. */
export const REDIRECT_RULE =
  'accepted are https, http on a loopback address, an own scheme that is a domain in reverse ' +
  '(com.example.app:/callback), and callbacks of the apps listed in docs/OPERATIONS.md'

export function isAllowedRedirect(given: unknown): given is string {
  if (typeof given !== 'string' || !PLAIN.test(given) || !URL.canParse(given)) return false
  const url = new URL(given)
  if (!given.startsWith(url.protocol) || hasUserInfo(given)) return false
  if (url.protocol === 'https:') return isWebAddress(given, url)
  if (url.protocol === 'http:') return isLoopback(url) && isWebAddress(given, url)
  return isAppAddress(given, url.protocol.slice(0, -1))
}

/** An address on the user's own computer, where open redirects are no risk. */
export function isLoopback({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && isLoopbackHost(hostname)
}

/** The host must be in the parser's canonical form: no percent signs, no numeric addresses. */
function isWebAddress(given: string, url: URL): boolean {
  const host = `${url.protocol}//${url.hostname}`
  if (!given.startsWith(host)) return false
  const rest = given.slice(host.length)
  const written = /^:(\d+)(?=[/?]|$)/.exec(rest)?.[1]
  const isSamePort = written === undefined ? url.port === '' : written === String(portOf(url))
  return isSamePort && /^(?::\d+)?(?:[/?]|$)/.test(rest)
}

function isAppAddress(given: string, scheme: string): boolean {
  if (scheme.includes('.')) {
    const isOwn = REVERSE_DOMAIN.test(scheme) && !SYSTEM_SCHEME.test(scheme)
    return isOwn && given.startsWith(`${scheme}:/`)
  }
  return APP_CALLBACKS.some(([name, callback]) => name === scheme && callback.test(given))
}

/** An at sign in the authority, after any text. */
const hasUserInfo = (given: string) => /^[^/?]*\/\/[^/?]*@/.test(given)
