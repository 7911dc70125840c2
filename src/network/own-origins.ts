/**
 * The gateway's own origins: PUBLIC_URL only, unless that is a loopback address or all interfaces.
 * Then the loopback names lead here too. Clients compare the URLs in responses with the URL that
 * they were configured with, so each request is answered under the name it used.
 */

import type { IncomingMessage } from 'node:http'
import { portOf } from '../text/url-port.ts'
import { isThisComputer, LOOPBACK_NAMES } from './loopback.ts'

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
    const others = isThisComputer(url.hostname) ? LOOPBACK_NAMES : []
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

  #add(url: URL, name: string): string {
    const { protocol, port, hostname } = url
    const ending = port === '' ? '' : `:${port}`
    const origin = name === hostname ? this.public : `${protocol}//${name}${ending}`
    this.#byHost.set(`${name}${ending}`, origin)
    if (port === '') this.#byHost.set(`${name}:${portOf(url)}`, origin)
    return origin
  }
}
