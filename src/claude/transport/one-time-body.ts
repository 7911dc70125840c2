/**
 * A body that is released once sent: undici keeps a string or a buffer until the answer ends. Its
 * documentation allows iterables, its types do not (undici documentation: Dispatcher.dispatch).
 */
export class OneTimeBody implements Iterable<Buffer> {
  readonly #parts: Buffer[]
  readonly #onTaken: (() => void) | undefined

  /** @param onTaken called when there is a connection to write it to. */
  constructor(payload: Buffer | readonly Buffer[], onTaken?: () => void) {
    this.#parts = Buffer.isBuffer(payload) ? [payload] : payload.toReversed()
    this.#onTaken = onTaken
  }

  *[Symbol.iterator](): Iterator<Buffer> {
    this.#onTaken?.()
    for (let part = this.#parts.pop(); part; part = this.#parts.pop()) yield part
  }
}
