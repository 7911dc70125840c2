import { isErrorBody } from '../transport/answer-errors.ts'
import { fieldsOf, toLabel } from '../upstream-value.ts'
import { UsageReport } from './usage-report.ts'

/** Longer answers than any model writes are not read: their usage is estimated. */
const MOST_BYTES = 32 * 1024 * 1024

/** Reads the usage of an answer that is one JSON document. Never throws. */
export class BodyMeter {
  readonly report = new UsageReport()
  /** Of an error in Anthropic's form. */
  errorType: string | null = null
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
    try {
      const message = fieldsOf(JSON.parse(text))
      if (isErrorBody(message))
        this.errorType = toLabel(fieldsOf(message.error).type) ?? 'api_error'
      if (message.usage !== undefined) this.report.addWhole(message)
    } catch {
      // Cut off, or no JSON.
    }
  }
}
