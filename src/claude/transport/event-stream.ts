import { APIError } from '@anthropic-ai/sdk/core/error'
import { createParser, type EventSourceParser } from 'eventsource-parser'

/** Parses the events of a streamed answer (WHATWG HTML: Server-sent events). */
export class EventReader {
  readonly #decoder = new TextDecoder()
  readonly #parser: EventSourceParser
  /**
   * Whether the last chunk ended in CR: an LF that follows belongs to that line end. The parser would
   * wait for it, and the last event of an answer with it.
   */
  #mayFeed = false

  /** @param onPing called for pings and comments, which only show that the connection lives. */
  constructor(
    requestId: string | null,
    onEvent: (event: unknown) => void,
    onPing: () => void = () => {},
  ) {
    this.#parser = createParser({
      onEvent: ({ event, data }) => {
        if (event === 'error') throw streamError(data, requestId)
        if (event === 'ping') onPing()
        else if (event !== undefined && data !== '') onEvent(JSON.parse(data))
      },
      onComment: onPing,
    })
  }

  /** @throws APIError for an `error` event, SyntaxError for data that is not JSON. */
  push(chunk: Uint8Array): void {
    const text = this.#decoder.decode(chunk, { stream: true })
    if (text === '') return
    const rest = this.#mayFeed && text.startsWith('\n') ? text.slice(1) : text
    this.#mayFeed = text.endsWith('\r')
    this.#parser.feed(this.#mayFeed ? `${rest}\n` : rest)
  }
}

function streamError(data: string, requestId: string | null): APIError {
  const headers = new Headers(requestId === null ? {} : { 'request-id': requestId })
  return new APIError(undefined, parseJson(data), undefined, headers)
}

/** Undefined for anything but a JSON object. */
export function parseJson(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}
