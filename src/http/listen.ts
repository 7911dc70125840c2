import { readFileSync } from 'node:fs'
import {
  createServer,
  IncomingMessage,
  type RequestListener,
  type Server,
  ServerResponse,
} from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { listenProblem } from './listen-problem.ts'
import { OpenRequests } from './open-requests.ts'
import { cutSlowReaders } from './slow-readers.ts'

export type ListenOptions = {
  host: string
  port: number
  tls: { certFile: string; keyFile: string } | undefined
  /** Within which a request has to be here, to its last byte. */
  receiveTimeoutMs?: number
  /** For which a client may take nothing of what is waiting for it. */
  sendTimeoutMs?: number
  /** For which a connection without a request is kept for sure; clients are told a second less. */
  keptSeconds?: number | undefined
}

export type Listening = {
  /** The URL by which this machine reaches it. */
  url: string
  /** Requests that have no answer yet. */
  readonly openRequests: number
  /** Reads the certificate again; new connections get the new one. Keeps the old one on an error. */
  reloadCertificate(): void
  /** Serves on, but says with every answer that the next request needs a new connection. */
  leave(): void
  /**
   * Takes no new connections; resolves when every request that came has its answer, and no connection
   * is open any more. One that is kept may bring another request until then; none is in a hurry.
   */
  close(options?: { inHurry: boolean }): Promise<void>
  /** Ends every connection, answered or not. */
  cut(): void
}

/** Longer than the idle time of common load balancers (60 s), so that they close first, not we. */
const KEEP_ALIVE_MS = 65_000

const RECEIVE_TIMEOUT_MS = 30_000
const SEND_TIMEOUT_MS = 30_000
/** How often Node looks for requests that are late, as a part of the time they have. */
const LOOKS_PER_TIMEOUT = 10

/** An Express application: the prototypes it gives its requests and responses are replaced. */
type Application = RequestListener & { request: object; response: object }

/** @throws Error that names the setting when the address cannot be had; when the certificate cannot be read. */
export async function listen(app: Application, options: ListenOptions): Promise<Listening> {
  const { host, port, tls } = options
  const { receiveTimeoutMs = RECEIVE_TIMEOUT_MS, sendTimeoutMs = SEND_TIMEOUT_MS } = options
  const classes = {
    IncomingMessage: bornAs(app, 'request', InPieces),
    ServerResponse: bornAs(app, 'response', ServerResponse),
    // Later ones get 408, and their connection ends.
    requestTimeout: receiveTimeoutMs,
    headersTimeout: receiveTimeoutMs,
    connectionsCheckingInterval: receiveTimeoutMs / LOOKS_PER_TIMEOUT,
  }
  const server = tls
    ? createTlsServer({ ...readCertificate(tls), ...classes }, app)
    : createServer(classes, app)
  const requests = new OpenRequests(server, options.keptSeconds)
  server.keepAliveTimeout = KEEP_ALIVE_MS
  cutSlowReaders(server, sendTimeoutMs)
  await listening(server, host, port)
  const { port: actualPort } = server.address() as AddressInfo
  return {
    url: `${tls ? 'https' : 'http'}://${toUrlHost(host)}:${actualPort}`,
    get openRequests() {
      return requests.count
    },
    reloadCertificate() {
      if (tls) (server as TlsServer).setSecureContext(readCertificate(tls))
    },
    leave: () => requests.endConnections(),
    close({ inHurry } = { inHurry: true }) {
      requests.endConnections()
      return requests.close({ inHurry })
    },
    cut: () => server.closeAllConnections(),
  }
}

/** So many pieces a body may come in, however small they are. */
const FREE_PIECES = 1024
const MIN_AVERAGE_PIECE_BYTES = 64

/**
 * Refuses a body in crumbs: each piece of it costs a few hundred bytes of memory until the body is
 * whole, so that a megabyte sent byte by byte (in chunks of one, thousands to a packet) would cost
 * hundreds.
 */
class InPieces extends IncomingMessage {
  #pieces = 0
  #bytes = 0

  override push(chunk: Uint8Array | null, encoding?: BufferEncoding): boolean {
    this.#pieces += 1
    this.#bytes += chunk?.length ?? 0
    const isInCrumbs =
      this.#pieces > FREE_PIECES && this.#bytes < this.#pieces * MIN_AVERAGE_PIECE_BYTES
    if (isInCrumbs) this.socket.destroy()
    return super.push(chunk, encoding)
  }
}

/**
 * A class whose objects have Express's prototype from the start. Express sets it for each request,
 * which makes everything after it twice as slow on Node.js 20 and 22 (expressjs/express #5998);
 * setting what is already there changes nothing.
 *
 * A class's prototype is fixed, so the application gets that one as its own. It has to be a real
 * subclass: V8 then leaves room in the object for what the base will set, which otherwise ends in a
 * dictionary of 2.4 KB.
 */
function bornAs<Key extends 'request' | 'response', Base extends new (...args: never[]) => object>(
  app: Record<Key, object>,
  key: Key,
  base: Base,
): Base {
  const Born = class extends (base as unknown as new (...args: unknown[]) => object) {}
  Object.setPrototypeOf(Born.prototype, app[key])
  // Express's inherits from Node's class: what a class of ours has beside that would be lost.
  if (!Object.prototype.isPrototypeOf.call(base.prototype, app[key])) {
    const { constructor: _, ...own } = Object.getOwnPropertyDescriptors(base.prototype)
    Object.defineProperties(Born.prototype, own)
  }
  app[key] = Born.prototype
  return Born as unknown as Base
}

function readCertificate(tls: { certFile: string; keyFile: string }) {
  return { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) }
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: Error) => reject(listenProblem(error))
    server.once('error', refuse)
    server.listen(port, host, () => {
      server.off('error', refuse)
      resolve()
    })
  })
}

/** An address that means every interface is reached by its loopback one. */
function toUrlHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
