/** The file of one run: bench/results/<date>.md, and its chart beside it. */

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Case, CaseReport, Table, Verdict } from '../harness/case.ts'
import type { Options } from '../harness/options.ts'
import { peerVersions } from '../harness/peers.ts'
import type { Site } from '../harness/site.ts'
import { chart } from './chart.ts'
import { loadAverage, machine } from './machine.ts'
import { verdictWord } from './terminal.ts'

const FOLDER = fileURLToPath(new URL('../results/', import.meta.url))
const startedAt = new Date()
const loadAtStart = loadAverage()

/** @returns what was written where. */
export async function writeResults(
  site: Site,
  options: Options,
  reports: readonly [Case, CaseReport][],
): Promise<string> {
  const date = startedAt.toISOString().slice(0, 10)
  const chosen = options.names.length > 1 ? ['part'] : options.names
  const part = [...(options.isQuick ? ['quick'] : []), ...chosen].map((word) => `-${word}`)
  const name = `${date}${part.join('')}`
  const panels = reports.flatMap(([, { bars = [] }]) => bars)
  mkdirSync(FOLDER, { recursive: true })
  if (panels.length > 0) writeFileSync(`${FOLDER}${name}.svg`, chart(panels, date))
  const text = [
    `# Benchmark of ${date}`,
    ...(panels.length > 0 ? [`![The gateway beside its peers](./${name}.svg)`] : []),
    await conditions(site),
    ...reports.map(([benchCase, report]) => section(benchCase, report)),
  ].join('\n\n')
  writeFileSync(`${FOLDER}${name}.md`, `${text}\n`)
  return `written: bench/results/${name}.md${panels.length > 0 ? ' and .svg' : ''}`
}

async function conditions(site: Site): Promise<string> {
  const { rounds, roundSeconds, isQuick } = site.scale
  const minutes = Math.ceil((Date.now() - startedAt.getTime()) / 60_000)
  const lines = [
    ...machine(),
    `Load average (1, 5, 15 min) ${loadAtStart} before, ${loadAverage()} after ${minutes} min`,
    `The gateway at ${revision()}; ${peerVersions().join(', ')}`,
    ...(await site.postgresqlVersion()),
    `${rounds} interleaved rounds of ${roundSeconds} s; medians, and the lowest and highest round`,
    ...(isQuick ? ['A quick run: it shows that everything works, not how fast it is.'] : []),
  ]
  return lines.map((line) => `- ${line}`).join('\n')
}

function revision(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: FOLDER, encoding: 'utf8' })
  try {
    const hash = git('rev-parse', '--short', 'HEAD').trim()
    return git('status', '--porcelain', '--', '../../src') === '' ? hash : `${hash} with changes`
  } catch {
    return 'an unknown revision'
  }
}

function section({ name, about }: Case, { notes, tables, verdicts }: CaseReport): string {
  return [
    `## ${name}`,
    `${about[0]?.toUpperCase()}${about.slice(1)}.`,
    ...notes,
    ...tables.map(markdownTable),
    verdictTable(verdicts),
  ].join('\n\n')
}

function markdownTable({ heading, columns, rows }: Table): string {
  const line = (cells: string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '/')).join(' | ')} |`
  const rule = line(columns.map((_, column) => (column === 0 ? '---' : '---:')))
  return [`**${heading}**`, '', line(columns), rule, ...rows.map(line)].join('\n')
}

const verdictTable = (verdicts: readonly Verdict[]) =>
  markdownTable({
    heading: 'Targets',
    columns: ['target', 'measured', ''],
    rows: verdicts.map((verdict) => [verdict.target, verdict.measured, verdictWord(verdict)]),
  })
