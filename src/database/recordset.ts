/** Rows as one value: the statement reads them as a table. */

/** What a row may hold: 64 bits and dates travel as text. */
type Cell = string | number | boolean | object | Buffer | null

/**
 * A table of the statement's own, made of rows that are sent as JSON.
 *
 * @param columns PostgreSQL's type of each, by the name that it has in TypeScript.
 */
export function recordset<Name extends string>(columns: Record<Name, string>) {
  const names = Object.keys(columns).map((name) => [name as Name, snakeCase(name)] as const)
  const definition = names.map(([name, column]) => `${column} ${columns[name]}`).join(', ')
  return {
    /** For a `from`. `rows` is the place of the value. */
    as: (alias: string, rows: string) => `json_to_recordset(${rows}) as ${alias} (${definition})`,
    /** The value. */
    toJson: (rows: readonly Record<Name, Cell>[]) =>
      JSON.stringify(
        rows.map((row) =>
          Object.fromEntries(names.map(([name, column]) => [column, toJson(row[name])])),
        ),
      ),
  }
}

/** As PostgreSQL reads it from JSON, which takes no half of a surrogate pair. */
function toJson(cell: Cell) {
  if (Buffer.isBuffer(cell)) return `\\x${cell.toString('hex')}`
  return typeof cell === 'string' ? cell.toWellFormed() : cell
}

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
