/** Limits on the size of an answer, counted after decompression: a few bytes can expand to many. */

import type { OnData } from './exchange.ts'

/** For an answer that is no event stream: enough to tell what it says and who sent it. */
const MAX_WHOLE_BYTES = 64 * 1024

/** More than any event needs per token, plus room for signatures and others that are not billed. */
const MOST_BYTES_PER_TOKEN = 1024
const ROOM_BYTES = 16 * 1024 * 1024

/** @param maxTokens the answer's `max_tokens`. */
export const streamBytesAtMost = (maxTokens: number): number =>
  ROOM_BYTES + maxTokens * MOST_BYTES_PER_TOKEN

/** @returns `onData` with a limit. @throws Error when the body exceeds it. */
export function within(mostBytes: number, onData: OnData): OnData {
  let bytes = 0
  return (chunk) => {
    bytes += chunk.length
    if (bytes > mostBytes) throw new Error(`the body has more than ${mostBytes} bytes`)
    return onData(chunk)
  }
}

/** Collects a body, up to 64 KB. */
export class WholeBody {
  readonly #chunks: Uint8Array[] = []
  #bytes = 0

  /** Copies the chunk, which is a part of a larger buffer. */
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
