/**
 * A body as it comes in. Copied into one buffer that doubles: kept as they came, many small pieces
 * would cost several times their bytes.
 */
export class CollectedBytes {
  #buffer: Buffer = Buffer.alloc(0)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** The first piece is nearly always the whole, and is not copied. */
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
