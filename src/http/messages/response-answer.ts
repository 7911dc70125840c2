import type { Response } from 'express'
import type { AppError } from '../../errors.ts'
import type { ClientAnswer } from '../../services/pass-through/client-side.ts'
import { apiErrorBody, sendApiError } from './api-error.ts'

const LINE_FEED = 0x0a

/** Writes an answer that passes through to an Express response. */
export class ResponseAnswer implements ClientAnswer {
  readonly #res: Response
  readonly #requestId: string
  readonly #gone = new AbortController()
  #names: string[] = []
  #isEventStream = false
  /** Whether the last event is complete, so that another may follow. */
  #isBetweenEvents = true

  constructor(res: Response, requestId: string) {
    this.#res = res
    this.#requestId = requestId
    res.once('close', () => {
      if (!res.writableFinished) this.#gone.abort()
    })
    if (res.destroyed) this.#gone.abort()
  }

  get left(): AbortSignal {
    return this.#gone.signal
  }

  head(status: number, headers: Record<string, string | string[]>): void {
    const res = this.#res
    if (res.destroyed) return
    res.status(status)
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
    this.#names = Object.keys(headers)
    this.#isEventStream = String(headers['content-type']).startsWith('text/event-stream')
    // With the first bytes if they are here already, in one packet.
    setImmediate(() => {
      if (!res.headersSent && !res.destroyed && this.#names.length > 0) res.flushHeaders()
    })
  }

  write(chunk: Buffer, onDrain: () => void): boolean {
    const res = this.#res
    if (res.destroyed || chunk.length === 0) return true
    this.#isBetweenEvents = chunk.at(-1) === LINE_FEED && isBlankBefore(chunk)
    if (res.write(chunk)) return true
    res.once('drain', onDrain)
    return false
  }

  end(): void {
    if (!this.#res.destroyed) this.#res.end()
  }

  cut(): void {
    this.#res.destroy()
  }

  fail(error: AppError): void {
    const res = this.#res
    if (res.destroyed) return
    if (!res.headersSent) {
      for (const name of this.#names) res.removeHeader(name)
      this.#names = []
      sendApiError(res, error, this.#requestId)
    } else if (this.#isEventStream && this.#isBetweenEvents) {
      res.end(`event: error\ndata: ${apiErrorBody(error, this.#requestId)}\n\n`)
    } else {
      res.destroy()
    }
  }
}

/** Whether a chunk that ends with a line end has an empty line before it. */
function isBlankBefore(chunk: Buffer): boolean {
  const end = chunk.toString('latin1', Math.max(0, chunk.length - 4))
  return /(?:\n\n|\r\n\r\n)$/.test(end)
}
