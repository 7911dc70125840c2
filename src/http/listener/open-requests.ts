/** Tracks the open requests of a server, and closes its connections gracefully. */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { type Socket, Server as TcpServer } from 'node:net'

/**
 * Without this, a client may send a request on a kept-alive connection just as the server closes
 * it, and cannot know whether it was read. So clients are told how long a connection is kept
 * (`Keep-Alive: timeout`), and the server keeps it slightly longer, also while it shuts down.
 */
export class OpenRequests {
  readonly #server: Server
  readonly #keptMs: number
  readonly #open = new Set<ServerResponse>()
  /** Open requests per connection: more than one with pipelining. */
  readonly #openOn = new WeakMap<Socket, number>()
  /** Idle connections, and until when each is kept: milliseconds of performance.now(). */
  readonly #idle = new Map<Socket, number>()
  #isLeaving = false
  #isClosing = false
  #onDone: (() => void)[] = []

  /** @param keptSeconds one more than clients are told; undefined: no Keep-Alive header. */
  constructor(server: Server, keptSeconds: number | undefined) {
    this.#server = server
    this.#keptMs = (keptSeconds ?? 0) * 1000
    const encrypted = 'setSecureContext' in server
    server.on(encrypted ? 'secureConnection' : 'connection', (socket: Socket) => {
      socket.once('close', () => this.#forget(socket))
      this.#rest(socket)
    })
    // Runs before the application, which may answer synchronously.
    server.prependListener('request', (req, res) => this.#begin(req, res))
  }

  get count(): number {
    return this.#open.size
  }

  /** From now on, an answer whose headers are not sent yet closes its connection. */
  endConnections(): void {
    this.#isLeaving = true
    for (const res of this.#open) sayClose(res)
  }

  /**
   * Stops accepting connections and closes each idle one: when its announced time is over, or at
   * once with `inHurry`.
   *
   * @returns resolves when nothing is open. A request whose connection broke needs no answer.
   */
  close({ inHurry }: { inHurry: boolean }): Promise<void> {
    this.#isClosing = true
    // Not the HTTP server's close(), which would close the kept-alive connections.
    TcpServer.prototype.close.call(this.#server)
    if (inHurry) for (const socket of this.#idle.keys()) this.#idle.set(socket, 0)
    // Requests that have already arrived are read first.
    setImmediate(() => this.#endIdle())
    return new Promise((resolve) => this.#onDone.push(resolve))
  }

  #begin({ socket }: IncomingMessage, res: ServerResponse): void {
    this.#idle.delete(socket)
    this.#open.add(res)
    this.#openOn.set(socket, (this.#openOn.get(socket) ?? 0) + 1)
    if (this.#isLeaving) sayClose(res)
    else if (this.#keptMs > 0 && res.shouldKeepAlive) {
      res.setHeader('Keep-Alive', `timeout=${Math.max(1, this.#keptMs / 1000 - 1)}`)
    }
    res.once('close', () => this.#end(socket, res))
  }

  #end(socket: Socket, res: ServerResponse): void {
    this.#open.delete(res)
    const left = (this.#openOn.get(socket) ?? 1) - 1
    this.#openOn.set(socket, left)
    if (left === 0 && !socket.destroyed) this.#rest(socket)
    this.#tellDone()
  }

  #rest(socket: Socket): void {
    this.#idle.set(socket, performance.now() + this.#keptMs)
    if (this.#isClosing) setImmediate(() => this.#endIdle())
  }

  #forget(socket: Socket): void {
    this.#idle.delete(socket)
    this.#tellDone()
  }

  /** Closes the expired connections now, and the others when they expire. */
  #endIdle(): void {
    for (const [socket, until] of this.#idle) {
      const leftMs = until - performance.now()
      if (leftMs <= 0) socket.destroy()
      else setTimeout(() => this.#endIdle(), leftMs + 1).unref()
    }
    this.#tellDone()
  }

  #tellDone(): void {
    if (!this.#isClosing || this.#open.size > 0 || this.#idle.size > 0) return
    for (const resolve of this.#onDone.splice(0)) resolve()
  }
}

/** Streams write `keep-alive` in their own writeHead call, which would win. */
function sayClose(res: ServerResponse): void {
  if (res.headersSent) return
  res.setHeader('Connection', 'close')
  res.removeHeader('Keep-Alive')
  const writeHead = res.writeHead.bind(res) as (...args: unknown[]) => ServerResponse
  res.writeHead = ((...args: unknown[]) => writeHead(...args.map(withoutConnection))) as never
}

/** Filters one argument of writeHead; arrays and objects are headers. */
function withoutConnection(arg: unknown): unknown {
  if (Array.isArray(arg)) return arg.filter((_, i) => !isConnection(arg[i - (i % 2)]))
  if (typeof arg !== 'object' || arg === null) return arg
  return Object.fromEntries(Object.entries(arg).filter(([name]) => !isConnection(name)))
}

const isConnection = (name: unknown) => String(name).toLowerCase() === 'connection'
