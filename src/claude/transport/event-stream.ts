import { APIError } from '@anthropic-ai/sdk/core/error'

const LINE_FEED = 0x0a
const RETURN = 0x0d
const SPACE = 0x20
const BYTE_ORDER_MARK = 0xfeff

/**
 * The events of a streamed answer (WHATWG HTML: Server-sent events); pings are left out.
 *
 * Bytes are looked at once, and decoded line by line: no character is cut where the network cuts.
 */
export class EventReader {
  readonly #onEvent: (event: unknown) => void
  readonly #onPing: () => void
  readonly #requestId: string | null
  /** The beginning of a line whose end is still to come. */
  #pending: Uint8Array[] = []
  #name = ''
  #data = ''
  #isAtStart = true
  /** Whether the last line ended in a lone return so far: a feed may still be part of its end. */
  #mayFeed = false

  /** @param onPing told of pings and comments, which say that something is there and no more. */
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
    // A copy: the chunk is a part of a larger buffer.
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

  /** The same lines, each with a feed alone at its end, and without a byte order mark before them. */
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
