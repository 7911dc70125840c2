/** Sends many rows as one JSON value, which the statement reads as a table. */

/** What a row may hold: 64 bits and dates travel as text. */
type Cell = string | number | boolean | object | Buffer | null

/**
 * A table expression over rows sent as JSON. Its column `place` is the index of a row, from 0.
 *
 * @param columns PostgreSQL types by the TypeScript name of the column.
 */
export function jsonRows<Name extends string>(columns: Record<Name, string>) {
  const names = Object.keys(columns).map((name) => [name as Name, snakeCase(name)] as const)
  const definition = names.map(([name, column]) => `"${column}" ${columns[name]}`)
  const toRecord = (row: Record<Name, Cell>, place: number) => {
    const record: Record<string, unknown> = { place }
    for (const [name, column] of names) record[column] = toJson(row[name])
    return record
  }
  return {
    /** For a `from`. `rows` is the placeholder of the value. */
    as: (alias: string, rows: string) =>
      `json_to_recordset(${rows}) as ${alias} (place integer, ${definition.join(', ')})`,
    /** The value. */
    toJson: (rows: readonly Record<Name, Cell>[]) => JSON.stringify(rows.map(toRecord)),
  }
}

/**
 * For a `join` to rows that were sent: looks the row of a table up by its key for each of them.
 * `offset 0` keeps the planner from joining whole tables instead, which it prefers while tables are
 * new and have no statistics.
 */
export const rowOf = (table: string, isIt: string) =>
  `lateral (select * from ${table} where ${isIt} offset 0)`

/** The result of each row that was sent, in their order. */
export function inPlaces<Row extends { place: number }>(
  sent: readonly unknown[],
  rows: readonly Row[],
): (Row | undefined)[] {
  const byPlace = new Map(rows.map((row) => [row.place, row]))
  return sent.map((_, place) => byPlace.get(place))
}

function toJson(cell: Cell): unknown {
  return Buffer.isBuffer(cell) ? `\\x${cell.toString('hex')}` : toStorable(cell)
}

/** Replaces what PostgreSQL cannot store: NUL, and lone surrogates. */
function toStorable(value: unknown): unknown {
  if (typeof value === 'string') {
    const text = value.toWellFormed()
    return text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text
  }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(toStorable)
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [toStorable(name), toStorable(field)]),
  )
}

/** The column of a name in TypeScript. */
export const snakeCase = (name: string) =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
