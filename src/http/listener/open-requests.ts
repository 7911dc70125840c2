/** What a server still owes an answer, and how it takes leave of its connections. */

import type { Server, ServerResponse } from 'node:http'

export class OpenRequests {
  readonly #server: Server
  readonly #open = new Set<ServerResponse>()
  #isLeaving = false
  #isClosing = false
  #onIdle: (() => void)[] = []

  constructor(server: Server) {
    this.#server = server
    // Before the application, which may answer at once.
    server.prependListener('request', (_req, res) => this.#begin(res))
  }

  get count(): number {
    return this.#open.size
  }

  /** From here on every answer whose head is not out yet is the last one on its connection. */
  endConnections(): void {
    this.#isLeaving = true
    for (const res of this.#open) sayClose(res)
  }

  /** Ends connections without a request: those there are, and each of the others when it has none. */
  closeIdle(): void {
    this.#isClosing = true
    this.#server.closeIdleConnections()
  }

  /** Resolves as soon as none is open. A request whose connection broke needs no answer. */
  answered(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onIdle.push(resolve))
  }

  #begin(res: ServerResponse): void {
    this.#open.add(res)
    if (this.#isLeaving) sayClose(res)
    res.once('close', () => this.#end(res))
  }

  #end(res: ServerResponse): void {
    this.#open.delete(res)
    // Node.js counts the connection as idle only after this event.
    if (this.#isClosing) setImmediate(() => this.#server.closeIdleConnections())
    if (this.#open.size > 0) return
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }
}

/** Streams say `keep-alive` by themselves, in the head they write, which would win. */
function sayClose(res: ServerResponse): void {
  if (res.headersSent) return
  res.setHeader('Connection', 'close')
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
