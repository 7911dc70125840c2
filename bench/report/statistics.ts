/** Numbers out of many numbers. All are 0 for none. */

const sorted = (values: Iterable<number>) => Float64Array.from(values).sort()

/** @param share of the values at or below the result, for example 0.99. */
export function percentile(values: Iterable<number>, share: number): number {
  const ordered = sorted(values)
  return ordered[Math.max(0, Math.ceil(ordered.length * share) - 1)] ?? 0
}

export function median(values: Iterable<number>): number {
  const ordered = sorted(values)
  const middle = ordered.length / 2
  const above = ordered[Math.floor(middle)] ?? 0
  return Number.isInteger(middle) ? ((ordered[middle - 1] ?? 0) + above) / 2 : above
}
