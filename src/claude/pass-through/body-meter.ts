import { isAnswer, isErrorBody } from '../transport/answer-errors.ts'
import { fieldsOf, toLabel } from '../upstream-value.ts'
import { UsageReport } from './usage-report.ts'

/** Longer answers than any model writes are not read: their usage is estimated. */
const MOST_BYTES = 32 * 1024 * 1024

/** Reads the usage of an answer that is one JSON document. Never throws. */
export class BodyMeter {
  readonly report = new UsageReport()
  /** Of an error in Anthropic's form. */
  errorType: string | null = null
  /** Whether the body is whole, and neither an answer nor an error of Anthropic's. */
  isForeign = false
  #chunks: Buffer[] = []
  #bytes = 0

  /** Bytes of the answer so far. */
  get textBytes(): number {
    return this.#bytes
  }

  /** Copied: the chunk is a part of a larger buffer. */
  add(chunk: Uint8Array): void {
    this.#bytes += chunk.length
    if (this.#bytes <= MOST_BYTES) this.#chunks.push(Buffer.from(chunk))
    else this.#chunks = []
  }

  /** Called when the body is whole. */
  end(): void {
    const text = Buffer.concat(this.#chunks).toString('utf8')
    this.#chunks = []
    this.#read(text)
    const isKnown = this.report.hasStarted || this.errorType !== null
    this.isForeign = !isKnown && this.#bytes <= MOST_BYTES && !isAnswer(text)
  }

  #read(text: string): void {
    try {
      const message = fieldsOf(JSON.parse(text))
      const { error, usage } = message
      if (isErrorBody(message)) this.errorType = toLabel(fieldsOf(error).type) ?? 'api_error'
      if (usage !== undefined) this.report.addWhole(message)
    } catch {
      // Cut off, or no JSON.
    }
  }
}
