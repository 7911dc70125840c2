/**
 * The gateway's own addresses. PUBLIC_URL is the only one, unless it is of this very computer: then
 * the computer's other names for itself lead here too, and people use whichever comes to mind. Every
 * client holds what it is told against the name that it was given, so each is answered under its own.
 */

import type { IncomingMessage } from 'node:http'

export const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]']

/** Listening everywhere, without a name for it: what others call it is not known. */
const NAMELESS = ['0.0.0.0', '[::]']

const DEFAULT_PORTS: Record<string, string> = { 'http:': '80', 'https:': '443' }

export class OwnOrigins {
  /** PUBLIC_URL. */
  readonly public: string
  /** Without a slash at the end; the public one first. */
  readonly all: readonly string[]
  readonly #byHost = new Map<string, string>()

  /** @param publicUrl without a path. */
  constructor(publicUrl: string) {
    const url = new URL(publicUrl)
    this.public = publicUrl
    const others = isOfThisComputer(url.hostname) ? LOOPBACK_NAMES : []
    const names = new Set([url.hostname, ...others])
    this.all = [...names].map((name) => this.#add(url, name))
  }

  /**
   * The one by which a request names the gateway. Whatever else is in its Host header, and in
   * forwarded headers, does not count.
   */
  askedBy({ headers }: Pick<IncomingMessage, 'headers'>): string {
    return this.#byHost.get(headers.host?.toLowerCase() ?? '') ?? this.public
  }

  #add({ protocol, port, hostname }: URL, name: string): string {
    const ending = port === '' ? '' : `:${port}`
    const origin = name === hostname ? this.public : `${protocol}//${name}${ending}`
    this.#byHost.set(`${name}${ending}`, origin)
    if (port === '') this.#byHost.set(`${name}:${DEFAULT_PORTS[protocol]}`, origin)
    return origin
  }
}

const isOfThisComputer = (hostname: string) =>
  LOOPBACK_NAMES.includes(hostname) ||
  NAMELESS.includes(hostname) ||
  hostname.endsWith('.localhost') ||
  /^127(?:\.\d{1,3}){3}$/.test(hostname)
