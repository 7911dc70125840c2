/**
 * Splits a JSON file of any size into the elements of its array, and parses each alone. Only one
 * element is in memory at a time, and none that would be costly to parse.
 */

import { ElementScan, type ScannedPiece } from './element-scan.ts'

/** Why an element is not parsed. */
export type BadElement = 'malformed' | 'too_deep' | 'too_large' | 'too_many_values'

export type JsonElement = { value: unknown } | { bad: BadElement }

export type ElementLimits = { maxBytes: number; maxValues: number; maxDepth: number }

/** The event loop runs in between. */
const SLICE_MS = 10

/**
 * The elements of a JSON array; of anything else, the values of the file, one after the other.
 *
 * @throws AppError invalid_input for a file that is not JSON, or that is incomplete.
 */
export async function* jsonElements(
  pieces: AsyncIterable<Buffer>,
  limits: ElementLimits,
): AsyncGenerator<JsonElement, void, undefined> {
  const scan = new ElementScan(limits)
  const element = new CollectedElement(limits.maxBytes)
  let sliceEnd = performance.now() + SLICE_MS
  for await (const piece of pieces) {
    for (const scanned of scan.read(piece)) {
      element.add(scanned)
      if (scanned.ends) yield element.take(scanned)
      if (performance.now() > sliceEnd) {
        await new Promise((resolve) => setImmediate(resolve))
        sliceEnd = performance.now() + SLICE_MS
      }
    }
  }
  const last = scan.end()
  if (last) yield element.take(last)
}

class CollectedElement {
  readonly #maxBytes: number
  #pieces: Buffer[] = []
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Forgets what is refused already: the rest of it is only skipped. */
  add({ bytes, refused }: ScannedPiece): void {
    this.#bytes += bytes.length
    if (refused !== undefined || this.#bytes > this.#maxBytes) this.#pieces = []
    else if (bytes.length > 0) this.#pieces.push(bytes)
  }

  take({ refused }: Pick<ScannedPiece, 'refused'>): JsonElement {
    const [pieces, bytes] = [this.#pieces, this.#bytes]
    this.#pieces = []
    this.#bytes = 0
    if (bytes > this.#maxBytes) return { bad: 'too_large' }
    if (refused !== undefined) return { bad: refused }
    try {
      return { value: JSON.parse(Buffer.concat(pieces).toString('utf8')) }
    } catch {
      return { bad: 'malformed' }
    }
  }
}
