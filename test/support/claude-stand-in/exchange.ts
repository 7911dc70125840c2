import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { type ApiError, errorBody } from './api-error.ts'
import type { JournalEntry } from './journal.ts'

const ORGANIZATION_ID = '5ad1f00d-0000-4000-8000-c1a0de57a9d1'
const CONTENT_TYPE = 'content-type'

/** An id in the API's manner: `req_…`, `msg_…`. */
export function newId(prefix: string): string {
  return `${prefix}_01${randomUUID().replaceAll('-', '').slice(0, 22)}`
}

/** One request and the response to it; safe to write to after the client has left. */
export class Exchange {
  readonly requestId = newId('req')
  readonly #res: ServerResponse
  readonly #entry: JournalEntry

  constructor(res: ServerResponse, entry: JournalEntry) {
    this.#res = res
    this.#entry = entry
    res.setHeader('request-id', this.requestId)
    res.setHeader('anthropic-organization-id', ORGANIZATION_ID)
  }

  get entry(): JournalEntry {
    return this.#entry
  }

  get isGone(): boolean {
    return this.#res.destroyed
  }

  sendJson(status: number, json: string, headers: Record<string, string> = {}): void {
    this.send(status, json, { [CONTENT_TYPE]: 'application/json', ...headers })
  }

  sendError(error: ApiError): void {
    if (this.#res.headersSent) this.destroy()
    else this.sendJson(error.status, errorBody(error, this.requestId), error.headers)
  }

  send(status: number, body: string, headers: Record<string, string>): void {
    this.begin(status, { ...headers, 'content-length': String(Buffer.byteLength(body)) })
    this.#res.end(body)
  }

  /** Sends the head. */
  begin(status: number, headers: Record<string, string>): void {
    if (this.isGone) return
    this.#entry.status = status
    this.#res.writeHead(status, headers)
  }

  write(data: string): void {
    if (!this.isGone) this.#res.write(data)
  }

  end(data = ''): void {
    if (!this.isGone) this.#res.end(data)
  }

  destroy(): void {
    this.#res.socket?.destroy()
  }

  /** Resolves after `ms`, or at once when the client leaves. @returns whether it is still there. */
  wait(ms: number): Promise<boolean> {
    if (ms <= 0 || this.isGone) return Promise.resolve(!this.isGone)
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.#res.off('close', done)
        resolve(!this.isGone)
      }
      const timer = setTimeout(done, ms)
      this.#res.once('close', done)
    })
  }

  untilGone(): Promise<void> {
    return new Promise((resolve) => {
      if (this.isGone) resolve()
      else this.#res.once('close', () => resolve())
    })
  }
}

/** The body as text, decoded, or undefined (the rest having been read and thrown away) above `maxBytes`. */
export function readBody(req: IncomingMessage, maxBytes: number): Promise<string | undefined> {
  const isZipped = req.headers['content-encoding'] === 'gzip'
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = []
    let bytes = 0
    req.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > maxBytes) chunks = []
      else chunks.push(chunk)
    })
    req.on('end', () => {
      const body = Buffer.concat(chunks)
      resolve(bytes > maxBytes ? undefined : String(isZipped ? gunzipSync(body) : body))
    })
    req.on('error', reject)
  })
}
