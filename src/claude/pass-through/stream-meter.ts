/**
 * Reads the usage of a stream from a copy of its bytes, in chunks of any size. Never
 * throws: what it cannot read is estimated, and the relay goes on.
 *
 * Nearly all events are pieces of text. They are counted by their length, and not parsed.
 */

import { fieldsOf, toLabel, toTokens } from '../upstream-value.ts'
import { UsageReport } from './usage-report.ts'

const LINE_FEED = 0x0a
const RETURN = 0x0d
const COLON = 0x3a
/** Far more than any event has; a longer line is no event. */
const MOST_LINE_BYTES = 64 * 1024 * 1024
/** What surrounds the text of a delta. */
const DELTA_FRAME_BYTES = 76

export class StreamMeter {
  readonly report = new UsageReport()
  /** Type of the `error` event, if there was one. */
  errorType: string | null = null
  /** Whether `message_stop` came. */
  isFinished = false
  readonly #now: () => number
  /** The beginning of an incomplete line. */
  #pending: Buffer[] = []
  #pendingBytes = 0
  #name = ''
  #data = ''
  #textBytes = 0
  #estimatedThinking = 0
  /** Since when a thinking block is open that has shown nothing. */
  #silentSince: number | null = null
  #silentMs = 0

  /** @param now milliseconds of a steady clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Bytes of text, thinking and tool input that the answer has shown. */
  get textBytes(): number {
    return this.#textBytes
  }

  /** Tokens of thinking that was not shown, by Anthropic's own coarse running count. */
  get estimatedThinkingTokens(): number {
    return this.#estimatedThinking
  }

  /** How long thinking blocks were open that have shown nothing. */
  get silentMs(): number {
    return this.#silentMs + (this.#silentSince === null ? 0 : this.#now() - this.#silentSince)
  }

  add(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let start = 0
    for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
      this.#addLine(this.#completed(bytes.subarray(start, end)))
      start = end + 1
    }
    if (start < bytes.length) this.#keep(bytes.subarray(start))
  }

  /** The stream has ended: a last line may lack its end. */
  end(): void {
    this.#addLine(this.#completed(Buffer.alloc(0)))
    this.#dispatch()
  }

  /** Copied: the chunk is a part of a larger buffer. */
  #keep(piece: Buffer): void {
    this.#pendingBytes += piece.length
    if (this.#pendingBytes <= MOST_LINE_BYTES) this.#pending.push(Buffer.from(piece))
  }

  #completed(rest: Buffer): Buffer {
    if (this.#pending.length === 0) return rest
    const line = Buffer.concat([...this.#pending, rest])
    this.#pending = []
    this.#pendingBytes = 0
    return line
  }

  /** A line that ends with CR LF, or holds lines that end with CR alone. */
  #addLine(line: Buffer): void {
    const end = line.indexOf(RETURN)
    if (end < 0) this.#readLine(line)
    else if (end === line.length - 1) this.#readLine(line.subarray(0, end))
    else {
      this.#readLine(line.subarray(0, end))
      this.#addLine(line.subarray(end + 1))
    }
  }

  #readLine(line: Buffer): void {
    if (line.length === 0) this.#dispatch()
    else if (isField(line, DATA)) this.#addData(line)
    else if (isField(line, EVENT)) this.#name = fieldText(line, EVENT)
  }

  #addData(line: Buffer): void {
    if (this.#name !== 'content_block_delta') {
      this.#data += (this.#data && '\n') + fieldText(line, DATA)
    } else if (!line.includes('"signature_delta"')) {
      this.#addDelta(line)
    }
  }

  #addDelta(line: Buffer): void {
    this.report.hasStarted = true
    const shown = Math.max(0, line.length - DATA.length - DELTA_FRAME_BYTES)
    if (!line.includes('"thinking_delta"')) {
      this.#textBytes += shown
      return
    }
    const { delta } = fieldsOf(parsed(fieldText(line, DATA)))
    const { thinking, estimated_tokens } = fieldsOf(delta)
    this.#estimatedThinking += toTokens(estimated_tokens) ?? 0
    if (typeof thinking !== 'string' || thinking === '') return
    this.#textBytes += Buffer.byteLength(thinking)
    this.#silentSince = null
  }

  #dispatch(): void {
    const [name, data] = [this.#name, this.#data]
    this.#name = ''
    this.#data = ''
    if (data === '') return
    const event = fieldsOf(parsed(data))
    this.#take(name || toLabel(event.type) || '', event)
  }

  #take(name: string, event: Record<string, unknown>) {
    switch (name) {
      case 'message_start':
        return this.report.addStart(event.message)
      case 'message_delta':
        return this.report.addDelta(event)
      case 'content_block_start':
        this.report.hasStarted = true
        if (fieldsOf(event.content_block).type === 'thinking') this.#silentSince = this.#now()
        return
      case 'content_block_delta':
        this.#addDelta(Buffer.from(`data:${JSON.stringify(event)}`))
        return
      case 'content_block_stop':
        this.#silentMs = this.silentMs
        this.#silentSince = null
        return
      case 'message_stop':
        this.isFinished = true
        return
      case 'error':
        this.errorType = toLabel(fieldsOf(event.error).type) ?? 'api_error'
    }
  }
}

const [DATA, EVENT] = ['data', 'event'].map((name) => Buffer.from(name)) as [Buffer, Buffer]

const isField = (line: Buffer, name: Buffer) =>
  line[name.length] === COLON && line.compare(name, 0, name.length, 0, name.length) === 0

/** One space after the colon is not part of the value. */
function fieldText(line: Buffer, name: Buffer): string {
  const start = name.length + 1
  return line.toString('utf8', line[start] === 0x20 ? start + 1 : start)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
