/** Splits long work on many values into slices, and lets the event loop run between them. */

/** About three milliseconds of unsealing texts. */
const SLICE_COST = 512 * 1024
/** The fixed cost of a value of any size, in bytes. */
const COST_OF_ONE = 1024

/** As `map`, in the order of the values. `bytesOf`: the size of a value. */
export async function mapInSlices<T, R>(
  values: readonly T[],
  bytesOf: (value: T) => number,
  work: (value: T) => R,
): Promise<R[]> {
  const results: R[] = []
  let cost = 0
  for (const value of values) {
    if (cost > SLICE_COST) {
      await nextRound()
      cost = 0
    }
    results.push(work(value))
    cost += COST_OF_ONE + bytesOf(value)
  }
  return results
}

/** How long work may hold the event loop at a time. */
const SLICE_MS = 3

/**
 * For work of which only the clock tells how long it takes: `if (slice.isOver) await slice.next()`
 * after each piece. Work that has just waited for something else calls `begin`.
 */
export class Slice {
  #startedAt = performance.now()

  get isOver(): boolean {
    return performance.now() - this.#startedAt > SLICE_MS
  }

  begin(): void {
    this.#startedAt = performance.now()
  }

  async next(): Promise<void> {
    await nextRound()
    this.begin()
  }
}

const nextRound = () => new Promise<void>((resolve) => setImmediate(resolve))
