import type { LoadResult } from '../load/job.ts'
import { percentile } from '../report/statistics.ts'
import type { Outcome } from './rounds.ts'

/** A percentile over all rounds: for cases whose rounds have too few requests for one of their own. */
export function pooled(
  { rounds }: Outcome,
  of: (result: LoadResult) => Float64Array,
  share: number,
): number {
  const values = rounds.flatMap(({ result }) => [...of(result)])
  return values.length === 0 ? Number.NaN : percentile(values, share)
}
