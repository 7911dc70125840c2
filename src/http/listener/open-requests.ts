/** What a server still owes an answer, and how it takes leave of its connections. */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { type Socket, Server as TcpServer } from 'node:net'

/**
 * A client sends its next request on a connection that it was told is kept, at the very moment at
 * which it is closed here, and cannot know whether that was read. So clients are told for how long it
 * is kept, and it is for a little longer: also by a server that closes.
 */
export class OpenRequests {
  readonly #server: Server
  readonly #keptMs: number
  readonly #open = new Set<ServerResponse>()
  /** How many of them a connection has: more than one when they are sent without waiting. */
  readonly #openOn = new WeakMap<Socket, number>()
  /** Connections without a request, and until when they are kept: milliseconds of performance.now(). */
  readonly #idle = new Map<Socket, number>()
  #isLeaving = false
  #isClosing = false
  #onDone: (() => void)[] = []

  /** @param keptSeconds one more than clients are told; undefined: nothing is promised. */
  constructor(server: Server, keptSeconds: number | undefined) {
    this.#server = server
    this.#keptMs = (keptSeconds ?? 0) * 1000
    const encrypted = 'setSecureContext' in server
    server.on(encrypted ? 'secureConnection' : 'connection', (socket: Socket) => {
      socket.once('close', () => this.#forget(socket))
      this.#rest(socket)
    })
    // Before the application, which may answer at once.
    server.prependListener('request', (req, res) => this.#begin(req, res))
  }

  get count(): number {
    return this.#open.size
  }

  /** From here on every answer whose head is not out yet is the last one on its connection. */
  endConnections(): void {
    this.#isLeaving = true
    for (const res of this.#open) sayClose(res)
  }

  /**
   * Takes no more connections, and ends each that has no request: as soon as it has been kept for as
   * long as its client was told, or with `inHurry` at once.
   *
   * @returns resolves when nothing is open. A request whose connection broke needs no answer.
   */
  close({ inHurry }: { inHurry: boolean }): Promise<void> {
    this.#isClosing = true
    // Not its own close(), which would end the kept ones.
    TcpServer.prototype.close.call(this.#server)
    if (inHurry) for (const socket of this.#idle.keys()) this.#idle.set(socket, 0)
    // What has arrived by now is read first.
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

  /** Now those whose time is over, and the others when theirs is. */
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

/** Streams say `keep-alive` by themselves, in the head they write, which would win. */
function sayClose(res: ServerResponse): void {
  if (res.headersSent) return
  res.setHeader('Connection', 'close')
  res.removeHeader('Keep-Alive')
  const writeHead = res.writeHead.bind(res) as (...args: unknown[]) => ServerResponse
  res.writeHead = ((...args: unknown[]) => writeHead(...args.map(withoutConnection))) as never
}

/** Of the arguments of writeHead, which are headers where they are objects. */
function withoutConnection(arg: unknown): unknown {
  if (Array.isArray(arg)) return arg.filter((_, i) => !isConnection(arg[i - (i % 2)]))
  if (typeof arg !== 'object' || arg === null) return arg
  return Object.fromEntries(Object.entries(arg).filter(([name]) => !isConnection(name)))
}

const isConnection = (name: unknown) => String(name).toLowerCase() === 'connection'
