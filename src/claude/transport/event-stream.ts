import { APIError } from '@anthropic-ai/sdk/core/error'

const LINE_FEED = 0x0a
const RETURN = 0x0d
const SPACE = 0x20
const BYTE_ORDER_MARK = 0xfeff

/**
 * Parses the events of a streamed answer (WHATWG HTML: Server-sent events).
 *
 * Bytes are scanned once and decoded in whole lines, so no character is split at a chunk boundary.
 */
export class EventReader {
  readonly #onEvent: (event: unknown) => void
  readonly #onPing: () => void
  readonly #requestId: string | null
  /** The beginning of an incomplete line. */
  #pending: Uint8Array[] = []
  #name = ''
  #data = ''
  #isAtStart = true
  /** Whether the last chunk of lines ended in CR: an LF that follows belongs to that line end. */
  #mayFeed = false

  /** @param onPing called for pings and comments, which only show that the connection lives. */
  constructor(
    requestId: string | null,
    onEvent: (event: unknown) => void,
    onPing: () => void = () => {},
  ) {
    this.#requestId = requestId
    this.#onEvent = onEvent
    this.#onPing = onPing
  }

  /** @throws APIError for an `error` event, SyntaxError for data that is not JSON. */
  push(chunk: Uint8Array): void {
    const end = Math.max(chunk.lastIndexOf(LINE_FEED), chunk.lastIndexOf(RETURN)) + 1
    if (end > 0) this.#readLines(this.#decode(chunk.subarray(0, end)))
    // Copied: the chunk is a part of a larger buffer.
    if (end < chunk.length) this.#pending.push(Buffer.from(chunk.subarray(end)))
  }

  #decode(lines: Uint8Array): string {
    if (this.#pending.length === 0) return toText(lines)
    const all = Buffer.concat([...this.#pending, lines])
    this.#pending = []
    return toText(all)
  }

  /** @param text whole lines. */
  #readLines(text: string): void {
    const lines = this.#isAtStart || this.#mayFeed || text.includes('\r') ? this.#tidy(text) : text
    for (let start = 0; start < lines.length; ) {
      const end = lines.indexOf('\n', start)
      this.#readLine(lines.slice(start, end))
      start = end + 1
    }
  }

  /** Normalizes line ends to LF, and removes a leading byte order mark. */
  #tidy(text: string): string {
    const hasMark = this.#isAtStart && text.charCodeAt(0) === BYTE_ORDER_MARK
    const hasFeed = this.#mayFeed && text.charCodeAt(0) === LINE_FEED
    this.#isAtStart = false
    this.#mayFeed = text.endsWith('\r')
    return text.slice(hasMark || hasFeed ? 1 : 0).replace(/\r\n?/g, '\n')
  }

  #readLine(line: string): void {
    if (line.startsWith('data:')) this.#data += (this.#data && '\n') + fieldValue(line, 5)
    else if (line.startsWith('event:')) this.#name = fieldValue(line, 6)
    else if (line === '') this.#dispatch()
    else if (line.startsWith(':')) this.#onPing()
  }

  #dispatch(): void {
    const name = this.#name
    const data = this.#data
    this.#name = ''
    this.#data = ''
    if (name === 'error') throw streamError(data, this.#requestId)
    if (name === 'ping') this.#onPing()
    else if (data !== '' && name !== '') this.#onEvent(JSON.parse(data))
  }
}

function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}

function fieldValue(line: string, from: number): string {
  return line.slice(line.charCodeAt(from) === SPACE ? from + 1 : from)
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
