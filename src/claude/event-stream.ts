import { APIError } from '@anthropic-ai/sdk/core/error'
import type { RawMessageStreamEvent } from '@anthropic-ai/sdk/resources/messages'

/**
 * The events of a streamed answer (WHATWG HTML: Server-sent events); pings are left out.
 *
 * @throws APIError for an `error` event, SyntaxError for data that is not JSON.
 */
export async function* readEvents(
  body: AsyncIterable<Uint8Array>,
  requestId: string | null,
): AsyncGenerator<RawMessageStreamEvent> {
  const lines = new LineSplitter()
  let name = ''
  let data = ''
  for await (const chunk of body) {
    for (const line of lines.push(chunk)) {
      if (line.startsWith('data:')) data += (data && '\n') + fieldValue(line, 5)
      else if (line.startsWith('event:')) name = fieldValue(line, 6)
      else if (line === '') {
        if (name === 'error') throw streamError(data, requestId)
        if (data !== '' && name !== '' && name !== 'ping') yield JSON.parse(data)
        name = ''
        data = ''
      }
    }
  }
}

/** Cuts bytes into lines; each byte is looked at once, however the network cuts the text. */
class LineSplitter {
  readonly #decoder = new TextDecoder()
  #pending = ''

  /** The lines this chunk completes, without their ends. */
  push(chunk: Uint8Array): string[] {
    const pieces = this.#decoder.decode(chunk, { stream: true }).split('\n')
    const rest = pieces.pop() ?? ''
    if (pieces.length === 0) {
      this.#pending += rest
      return pieces
    }
    pieces[0] = this.#pending + pieces[0]
    this.#pending = rest
    return pieces.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))
  }
}

function fieldValue(line: string, from: number): string {
  return line.slice(line.charCodeAt(from) === 0x20 ? from + 1 : from)
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
