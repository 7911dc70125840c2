/** How much of an answer is read, counted as it was written: compressed, a few bytes can be many. */

import type { OnData } from './exchange.ts'

/** Of an answer that is no stream of events: enough for what it says, and for whom it is from. */
const MAX_WHOLE_BYTES = 64 * 1024

/** No event is so long for one token, and signatures and what else is not billed have their room. */
const MOST_BYTES_PER_TOKEN = 1024
const ROOM_BYTES = 16 * 1024 * 1024

/** @param maxTokens what the answer may have. */
export const streamBytesAtMost = (maxTokens: number): number =>
  ROOM_BYTES + maxTokens * MOST_BYTES_PER_TOKEN

/** Breaks off what is longer than that. */
export function within(mostBytes: number, onData: OnData): OnData {
  let bytes = 0
  return (chunk) => {
    bytes += chunk.length
    if (bytes > mostBytes) throw new Error(`the body has more than ${mostBytes} bytes`)
    return onData(chunk)
  }
}

/** A body that is kept, as far as 64 KB. */
export class WholeBody {
  readonly #chunks: Uint8Array[] = []
  #bytes = 0

  /** The chunk is copied: it is a part of a larger buffer. */
  readonly add: OnData = (chunk) => {
    this.#chunks.push(Buffer.from(chunk.subarray(0, MAX_WHOLE_BYTES - this.#bytes)))
    this.#bytes += chunk.length
    if (this.#bytes >= MAX_WHOLE_BYTES) throw new Error('the body is too long to be read whole')
    return false
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('utf8')
  }
}
