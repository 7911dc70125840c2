import { figure, megabytes } from '../report/format.ts'
import type { Table } from './case.ts'
import type { Outcome } from './rounds.ts'

/** Requests per second with their spread, latencies, cost and errors of each contender. */
export function outcomeTable(heading: string, outcomes: readonly Outcome[]): Table {
  const hasDatabase = outcomes.some(({ databaseMicros }) => Number.isFinite(databaseMicros))
  return {
    heading,
    columns: [
      ...['', 'requests/s', 'min – max', 'p50 ms', 'p99 ms', 'CPU µs/request'],
      ...(hasDatabase ? ['PostgreSQL µs/request'] : []),
      ...['RSS MB', 'errors'],
    ],
    rows: outcomes.map((outcome) => [
      outcome.name,
      figure(outcome.perSecond),
      spread(outcome.rounds.map(({ perSecond }) => perSecond)),
      figure(outcome.p50Ms),
      figure(outcome.p99Ms),
      figure(outcome.cpuMicros),
      ...(hasDatabase ? [figure(outcome.databaseMicros)] : []),
      megabytes(outcome.rssBytes),
      errorsOf(outcome),
    ]),
  }
}

export const spread = (values: number[]) =>
  `${figure(Math.min(...values))} – ${figure(Math.max(...values))}`

const MAX_LENGTH = 70

/** With the commonest kind. */
export function errorsOf({ errors }: Outcome): string {
  const kinds = Object.entries(errors).sort(([, a], [, b]) => b - a)
  const total = kinds.reduce((sum, [, count]) => sum + count, 0)
  return total === 0 ? '0' : `${total}: ${kinds[0]?.[0].slice(0, MAX_LENGTH)}`
}
