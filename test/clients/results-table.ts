/** The table of clients in README.md: a row for each, between two marks. */

import { type Client, versionOf } from './clients.ts'
import { type Outcomes, steps } from './trial.ts'

const [BEGIN, END] = ['<!-- clients: begin -->\n', '<!-- clients: end -->']
const HEADINGS = ['client', 'version', ...steps, 'tried on']

const SKIPPED = 'skipped'

export type Row = readonly string[]

/** @param outcomes a step that is missing was not tried; without any the client was skipped. */
export function rowOf(client: Client, outcomes: Outcomes, day: string): Row {
  const missing = outcomes.size === 0 ? SKIPPED : 'not tried'
  const cells = steps.map((step) => outcomes.get(step)?.says ?? missing)
  return [client.title, versionOf(client), ...cells, day]
}

export function toMarkdown(rows: readonly Row[]): string {
  const lines = [HEADINGS, HEADINGS.map(() => '---'), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

/** @throws Error where the marks are missing. */
function split(readme: string): [before: string, table: string, after: string] {
  const [before, rest] = readme.split(BEGIN)
  const [table, after] = rest?.split(END) ?? []
  if (before === undefined || table === undefined || after === undefined) {
    throw new Error(`README.md has no ${BEGIN.trim()} or no ${END}`)
  }
  return [before, table, after]
}

export function rowsIn(readme: string): Row[] {
  const lines = split(readme)[1]
    .split('\n')
    .filter((line) => line.startsWith('| '))
  return lines.slice(2).map((line) => line.slice(2, -2).split(' | '))
}

/**
 * Puts rows in the place of those of the same clients, in the order of the list. A client that was
 * skipped keeps what was found of it before.
 */
export function withRows(readme: string, rows: readonly Row[], clients: readonly Client[]): string {
  const [before, , after] = split(readme)
  const tried = rows.filter((cells) => !cells.includes(SKIPPED))
  const known = [...tried, ...rowsIn(readme)]
  const table = clients.flatMap(({ title }) => {
    const row = known.find(([name]) => name === title)
    return row ? [row] : []
  })
  return `${before}${BEGIN}${toMarkdown(table)}${END}${after}`
}
