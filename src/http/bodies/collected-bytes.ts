/**
 * Collects the chunks of a body in one buffer that doubles: kept as a list, many small chunks would
 * take several times their bytes in memory.
 */
export class CollectedBytes {
  #buffer: Buffer = Buffer.alloc(0)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** The first chunk is nearly always the whole body, and is not copied. */
  add(piece: Buffer): void {
    const length = this.#length + piece.length
    if (this.#length === 0) {
      this.#buffer = piece
    } else {
      if (length > this.#buffer.length) this.#widen(Math.max(length, 2 * this.#buffer.length))
      piece.copy(this.#buffer, this.#length)
    }
    this.#length = length
  }

  whole(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #widen(bytes: number): void {
    const wider = Buffer.allocUnsafe(bytes)
    this.whole().copy(wider)
    this.#buffer = wider
  }
}
