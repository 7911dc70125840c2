/**
 * Statements of the hot path: written in SQL, compiled at start, planned once per connection.
 *
 * Kysely compiles a query each time it runs, and PostgreSQL plans each one it gets without a name.
 * For the few statements that every message goes through, both cost more than the work itself.
 */

import { CompiledQuery, type Kysely } from 'kysely'

const names = new Map<string, string>()

/** Under which name a connection prepares this text; undefined for everything else. */
export const preparedName = (text: string): string | undefined => names.get(text)

/** All that were declared by what has been imported, for those who have to know their plans. */
export const preparedStatements = (): [name: string, text: string][] =>
  [...names].map(([text, name]) => [name, text])

/** Makes a session plan its prepared statements again, each at its next run. */
export const DISCARD_PLANS = 'discard plans'

/** A hundredth of a statement's time goes into planning it again. */
const RUNS_OF_A_PLAN = 500

/**
 * Counts the runs of prepared statements in one session. PostgreSQL plans for tables of the size
 * they have then, and again only after they were analyzed: a plan of an empty table, which reads all
 * of it, would otherwise be kept while the table fills, until autovacuum comes by.
 */
export class PlanAge {
  #runs = 0

  /** @returns whether the plans are to be discarded before this run. */
  countRun(): boolean {
    this.#runs += 1
    return this.#runs % RUNS_OF_A_PLAN === 0
  }
}

/**
 * @param name unique in the process; PostgreSQL keeps the plan under it.
 * @param write gives the SQL. Its argument places a value by name, with its PostgreSQL type.
 * @returns runs the statement with the values, which are all of those that were placed.
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
