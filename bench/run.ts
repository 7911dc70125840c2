/** npm run bench: see README.md beside this file. */

import { builds } from './cases/builds.ts'
import { CASES } from './cases/index.ts'
import type { Case, CaseReport } from './harness/case.ts'
import { cleanUp, cleanUpOnSignals, isEnding } from './harness/cleanup.ts'
import { type Options, readOptions } from './harness/options.ts'
import { installPeers } from './harness/peers.ts'
import { scaleOf } from './harness/scale.ts'
import { Site } from './harness/site.ts'
import { writeResults } from './report/results.ts'
import { textTable, verdictLine } from './report/terminal.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2))
  if (options.isList)
    return CASES.forEach(({ name, about }) => void say(`${name.padEnd(18)}${about}`))
  const cases = chosen(options)
  installPeers()
  cleanUpOnSignals()
  const site = new Site(scaleOf(options.isQuick, options.rounds), options.isProfiled)
  const reports: [Case, CaseReport][] = []
  try {
    for (const benchCase of cases) {
      say(`\n${benchCase.name}: ${benchCase.about}`)
      const startedAt = performance.now()
      const report = await runCase(site, benchCase)
      if (isEnding()) return
      reports.push([benchCase, report])
      print(report)
      say(`\n    (${Math.round((performance.now() - startedAt) / 1000)} s)`)
    }
    say(`\n${await writeResults(site, options, reports)}`)
  } finally {
    await cleanUp()
  }
}

function chosen({ names, beside }: Options): readonly Case[] {
  if (beside !== undefined) return [builds(beside)]
  const unknown = names.filter((name) => !CASES.some((benchCase) => benchCase.name === name))
  if (unknown.length > 0) throw new Error(`no such case: ${unknown.join(', ')}. --list names them`)
  return CASES.filter(({ name }) => names.length === 0 || names.includes(name))
}

/** One case that fails does not take the others with it. */
async function runCase(site: Site, benchCase: Case): Promise<CaseReport> {
  try {
    return await benchCase.run(site)
  } catch (error) {
    process.exitCode = 1
    const reason = error instanceof Error ? error.message : String(error)
    const failure = { target: benchCase.name, measured: 'failed', isMet: false }
    return { notes: [reason], tables: [], verdicts: [failure] }
  }
}

function print({ notes, tables, verdicts }: CaseReport): void {
  for (const note of notes) say(`  ${note}`)
  for (const table of tables) say(textTable(table))
  say('')
  for (const verdict of verdicts) say(verdictLine(verdict))
}

main().then(
  // Whatever still holds the process open belongs to servers that were stopped.
  () => process.exit(),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
    process.exit(1)
  },
)
