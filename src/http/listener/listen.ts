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
import { urlHost } from '../../text/url-host.ts'
import { isApiPath, rawPathOf } from '../messages/paths.ts'
import { listenProblem } from './listen-problem.ts'
import { spareLongRequests } from './long-requests.ts'
import { OpenRequests } from './open-requests.ts'
import { cutSlowReaders } from './slow-readers.ts'

export type ListenOptions = {
  host: string
  port: number
  tls: { certFile: string; keyFile: string } | undefined
  /** Time limit for receiving a request completely. */
  receiveTimeoutMs?: number
  /** Time limit for a client that reads nothing of the data queued for it. */
  sendTimeoutMs?: number
  /** How long an idle connection is kept at least; clients are told one second less. */
  keptSeconds?: number | undefined
}

export type Listening = {
  /** The URL that reaches the listener from this machine. */
  url: string
  /** Requests not answered yet. */
  readonly openRequests: number
  /** Reloads the certificate for new connections. Keeps the old one on an error. */
  reloadCertificate(): void
  /** Keeps serving, but closes each connection after its next answer (`Connection: close`). */
  leave(): void
  /**
   * Stops accepting connections; resolves when all are closed and every request is answered.
   * Without `inHurry`, a kept-alive connection may bring another request until its time is over.
   */
  close(options?: { inHurry: boolean }): Promise<void>
  /** Closes every connection at once, answered or not. */
  cut(): void
}

/** Longer than the idle timeout of common load balancers (60 s), so that they close first. */
const KEEP_ALIVE_MS = 65_000

const RECEIVE_TIMEOUT_MS = 30_000
const SEND_TIMEOUT_MS = 30_000
/** Before a silent connection is probed: an answer in one piece sends nothing for minutes. */
const PROBE_MS = 60_000
/** How many times per timeout Node checks for late requests. */
const LOOKS_PER_TIMEOUT = 10

/** An Express application, whose request and response prototypes are replaced. */
type Application = RequestListener & { request: object; response: object }

/** @throws Error naming the setting for an unavailable address; for an unreadable certificate. */
export async function listen(app: Application, options: ListenOptions): Promise<Listening> {
  const { host, port, tls } = options
  const { receiveTimeoutMs = RECEIVE_TIMEOUT_MS, sendTimeoutMs = SEND_TIMEOUT_MS } = options
  const classes = {
    IncomingMessage: bornAs(app, 'request', InPieces),
    ServerResponse: bornAs(app, 'response', ServerResponse),
    // Late requests get 408, and their connection is closed.
    requestTimeout: receiveTimeoutMs,
    headersTimeout: receiveTimeoutMs,
    connectionsCheckingInterval: receiveTimeoutMs / LOOKS_PER_TIMEOUT,
    // So that nothing on the way forgets the connection, and a client that is gone is noticed.
    keepAlive: true,
    keepAliveInitialDelay: PROBE_MS,
  }
  const server = tls
    ? createTlsServer({ ...readCertificate(tls), ...classes }, app)
    : createServer(classes, app)
  const requests = new OpenRequests(server, options.keptSeconds)
  server.keepAliveTimeout = KEEP_ALIVE_MS
  spareLongRequests(server)
  // A client of Anthropic's API is told to go on once its token was found good.
  server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => {
    if (!isApiPath(rawPathOf(req.url ?? ''))) res.writeContinue()
    server.emit('request', req, res)
  })
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

/** A body may come in this many chunks, however small. */
const FREE_PIECES = 1024
const MIN_AVERAGE_PIECE_BYTES = 64

/**
 * Refuses a body in tiny chunks: each chunk costs a few hundred bytes of memory until the body is
 * complete, so a megabyte sent in one-byte chunks would cost hundreds of megabytes.
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
 * Makes a class whose objects have Express's prototype from the start. Express sets the prototype
 * on each request, which makes later code twice as slow on Node.js 20 and 22 (expressjs/express
 * #5998); setting the prototype that is already there changes nothing.
 *
 * A class's prototype is fixed, so the application takes it over as its own. It has to be a real
 * subclass: V8 then reserves room in the object for the fields of the base class; otherwise the
 * object becomes a dictionary of 2.4 KB.
 */
function bornAs<Key extends 'request' | 'response', Base extends new (...args: never[]) => object>(
  app: Record<Key, object>,
  key: Key,
  base: Base,
): Base {
  const Born = class extends (base as unknown as new (...args: unknown[]) => object) {}
  Object.setPrototypeOf(Born.prototype, app[key])
  // Express's prototype inherits from Node's class: methods of our own subclass are copied over.
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

/** A wildcard address is reached by its loopback address. */
function toUrlHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return urlHost(host)
}
