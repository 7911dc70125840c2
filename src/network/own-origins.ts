/**
 * The gateway's own origins: PUBLIC_URL only, unless that is a loopback address or all interfaces.
 * Then the loopback names lead here too. Clients compare the URLs in responses with the URL that
 * they were configured with, so each request is answered under the name it used.
 */

import type { IncomingMessage } from 'node:http'

export const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]']

/** Listening on all interfaces: the name that others use is unknown. */
const NAMELESS = ['0.0.0.0', '[::]']

const DEFAULT_PORTS: Record<string, string> = { 'http:': '80', 'https:': '443' }

export class OwnOrigins {
  /** PUBLIC_URL. */
  readonly public: string
  /** Without a trailing slash; the public one first. */
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
   * The own origin that the request's Host header names; PUBLIC_URL for any other. Forwarded
   * headers are ignored.
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
