import type { Table, Verdict } from '../harness/case.ts'

/** Columns aligned, the first to the left and the others to the right. */
export function textTable({ heading, columns, rows }: Table): string {
  const all = [columns, ...rows]
  const widths = columns.map((_, column) =>
    Math.max(...all.map((row) => (row[column] ?? '').length)),
  )
  const line = (row: string[]) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
  return ['', `  ${heading}`, ...all.map((row) => `    ${line(row)}`)].join('\n')
}

export const verdictWord = ({ isMet, isAim = false }: Verdict) =>
  isAim ? (isMet ? 'aim reached' : 'aim not reached') : isMet ? 'met' : 'NOT MET'

export const verdictLine = (verdict: Verdict) =>
  `    ${verdictWord(verdict).padEnd(15)}  ${verdict.measured.padStart(9)}  ${verdict.target}`
