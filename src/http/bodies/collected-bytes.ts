/**
 * Collects the chunks of a body in one buffer that doubles: kept as a list, many small chunks would
 * take several times their bytes in memory.
 */
export class CollectedBytes {
  readonly #expected: number
  #buffer: Buffer = Buffer.alloc(0)
  #length = 0

  /** @param expected how long the body says it is; 0: it does not. Room for it is made at once. */
  constructor(expected = 0) {
    this.#expected = expected
  }

  get length(): number {
    return this.#length
  }

  /** The first chunk is nearly always the whole body, and is not copied. */
  add(piece: Buffer): void {
    const length = this.#length + piece.length
    if (this.#length === 0) {
      this.#buffer = piece
    } else {
      if (length > this.#buffer.length)
        this.#widen(length <= this.#expected ? this.#expected : Math.max(length, 2 * this.#length))
      piece.copy(this.#buffer, this.#length)
    }
    this.#length = length
  }

  /** All of them, which are not kept here: the listeners of a request outlive its body. */
  take(): Buffer {
    const whole = this.#whole()
    this.#buffer = Buffer.alloc(0)
    this.#length = 0
    return whole
  }

  #whole(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #widen(bytes: number): void {
    const wider = Buffer.allocUnsafe(bytes)
    this.#whole().copy(wider)
    this.#buffer = wider
  }
}
