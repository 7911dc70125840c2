/**
 * Opens outgoing connections, directly or through the configured proxies.
 *
 * HTTPS_PROXY is for https addresses, HTTP_PROXY for http ones; both are asked for a tunnel
 * (CONNECT), so that a proxy cannot read https traffic.
 */

import { type Dispatcher, Pool, ProxyAgent, request } from 'undici'
import { type Bypass, isBypassed, parseBypass } from '../config/no-proxy.ts'

export type Proxies = {
  httpsProxy?: URL | undefined
  httpProxy?: URL | undefined
  /** Entries of NO_PROXY; invalid ones are ignored. */
  noProxy?: readonly string[] | undefined
}

export type OutgoingAnswer = {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: AsyncIterable<Uint8Array>
}

/** Timeout for opening a tunnel. */
const TUNNEL_WITHIN_MS = 30_000

export class Outgoing {
  readonly #proxies: Proxies
  readonly #bypasses: readonly Bypass[]
  readonly #opened: Dispatcher[] = []
  /** For single requests to any origin. */
  #agent: ProxyAgent | undefined

  constructor(proxies: Proxies = {}) {
    this.#proxies = proxies
    this.#bypasses = (proxies.noProxy ?? []).flatMap((entry) => parseBypass(entry) ?? [])
  }

  /** The setting with the proxy for an address; undefined when it is reached directly. */
  proxyFor(url: URL): 'HTTPS_PROXY' | 'HTTP_PROXY' | undefined {
    if (this.#proxyOf(url) === undefined) return undefined
    return url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  }

  /** Connections to one origin. Closed by the caller or by {@link close}. */
  open(url: URL, options: Pool.Options): Dispatcher {
    const proxy = this.#proxyOf(url)
    const opened = proxy ? toAgent(proxy, options) : new Pool(url.origin, options)
    this.#opened.push(opened)
    return opened
  }

  /**
   * Sends one request through the proxy, and follows no redirect.
   *
   * @throws Error also when no proxy is configured for the address.
   */
  async requestByProxy(
    url: URL,
    options: {
      method: 'GET' | 'HEAD' | 'POST'
      headers: Record<string, string>
      body?: string
      signal: AbortSignal
    },
  ): Promise<OutgoingAnswer> {
    const proxy = this.#proxyOf(url)
    if (proxy === undefined) throw new Error('no proxy is meant for this address')
    // One agent for all requests: this is only used for https addresses.
    this.#agent ??= toAgent(proxy, { connections: 16, pipelining: 1 })
    const answer = await request(url, { ...options, dispatcher: this.#agent })
    return { status: answer.statusCode, headers: answer.headers, body: answer.body }
  }

  /** Ends every connection, requests in flight included. */
  async close(): Promise<void> {
    await Promise.all([...this.#opened, this.#agent].map((opened) => opened?.destroy()))
  }

  #proxyOf(url: URL): URL | undefined {
    const { httpsProxy, httpProxy } = this.#proxies
    const proxy = url.protocol === 'https:' ? httpsProxy : httpProxy
    return proxy !== undefined && isBypassed(url, this.#bypasses) ? undefined : proxy
  }
}

/** Why a tunnel was not opened: the proxy's response, or the error of reaching it. */
export type TunnelFailure = { status: number } | { code: string }

/** Undefined for an error inside the tunnel or beyond it. */
export function tunnelFailureOf(error: unknown): TunnelFailure | undefined {
  if (!(error instanceof Error)) return undefined
  // undici reports the status only in the message.
  const status = /^Proxy response \((\d{3})\)/.exec(error.message)?.[1]
  if (status !== undefined) return { status: Number(status) }
  const { code, syscall } = error as NodeJS.ErrnoException
  const isUnreached = syscall === 'connect' || syscall === 'getaddrinfo'
  const isUnanswered = code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT'
  return code !== undefined && (isUnreached || isUnanswered) ? { code } : undefined
}

function toAgent(proxy: URL, options: Pool.Options): ProxyAgent {
  const { username, password } = proxy
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return new ProxyAgent({
    ...options,
    uri: `${proxy.protocol}//${proxy.host}`,
    // undici's own handling of credentials drops a user without a password.
    ...(username === '' ? {} : { token: `Basic ${Buffer.from(credentials).toString('base64')}` }),
    clientFactory: (origin, more) =>
      new Pool(origin, { ...more, headersTimeout: TUNNEL_WITHIN_MS }),
  })
}
