/** Long work on many values, in pieces between which the event loop serves everybody else. */

/** About three milliseconds of opening sealed texts. */
const SLICE_COST = 512 * 1024
/** What a value costs however small it is, measured in bytes. */
const COST_OF_ONE = 1024

/** As `map`, in the order of the values. `bytesOf`: how large a value is. */
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

const nextRound = () => new Promise<void>((resolve) => setImmediate(resolve))
