/**
 * Statements of the hot path: written in SQL, compiled at start, planned once per connection.
 *
 * Kysely compiles a query each time it runs, and PostgreSQL plans each one it gets without a name.
 * For the few statements that every message runs, both cost more than the work itself: the two
 * statements of a send measured 325 us of this process's CPU prepared, and 1,163 us compiled each time.
 */

import { CompiledQuery, type Kysely } from 'kysely'

const names = new Map<string, string>()

/** The name of a prepared statement by its text; undefined for any other text. */
export const preparedName = (text: string): string | undefined => names.get(text)

/** All prepared statements of the modules imported so far, for the tests of their plans. */
export const preparedStatements = (): [name: string, text: string][] =>
  [...names].map(([text, name]) => [name, text])

/** Makes a session replan its prepared statements, each at its next run. */
export const DISCARD_PLANS = 'discard plans'

/** At this interval replanning takes a hundredth of a statement's time. */
const RUNS_OF_A_PLAN = 500

/**
 * Counts the runs of prepared statements in one session. PostgreSQL plans for the tables' current
 * size, and replans only after an analyze: a plan made for an empty table, a sequential scan, would
 * otherwise be kept while the table fills, until autovacuum runs.
 */
export class PlanAge {
  #runs = 0

  /** @returns whether to discard the plans before this run. */
  countRun(): boolean {
    this.#runs += 1
    return this.#runs % RUNS_OF_A_PLAN === 0
  }
}

/**
 * @param name unique in the process; PostgreSQL keeps the plan under it.
 * @param write returns the SQL. Its argument gives the placeholder of a value, with its type.
 * @returns a function that runs the statement with the placed values.
 */
export function prepare<Values extends Record<string, unknown>, Row>(
  name: string,
  write: (place: (value: Extract<keyof Values, string>, type: string) => string) => string,
) {
  const placed: string[] = []
  const text = write((value, type) => {
    if (!placed.includes(value)) placed.push(value)
    return `$${placed.indexOf(value) + 1}::${type}`
  })
  names.set(text, name)
  return async <T>(db: Kysely<T>, values: Values): Promise<Row[]> => {
    const parameters = placed.map((value) => values[value])
    return (await db.executeQuery<Row>(CompiledQuery.raw(text, parameters))).rows
  }
}
