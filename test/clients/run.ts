/**
 * `npm run clients`: real clients from npm, one after the other, against the built gateway and a
 * stand-in for Claude. Needs the package registry; nothing else on the internet is asked.
 *
 * `npm run clients -- mcporter opencode` tries only these. `--readme` writes what came out into
 * the table of README.md, in the place of these clients' rows.
 */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Client, clients, versionOf } from './clients.ts'
import { findNode, install } from './install.ts'
import { endDaemons, NotHereError, startProgram } from './program.ts'
import { README } from './readme.ts'
import { type Row, rowOf, toMarkdown, withRows } from './results-table.ts'
import { openSite, type Site } from './site.ts'
import { type Outcome, type Outcomes, type Step, tryAll } from './trial.ts'

/** Of what went wrong: a screen that was drawn again and again ends with what counts. */
const MAX_PROBLEM_CHARS = 3000
/** For one client, its installation not included. */
const TIMEOUT_MS = 240_000

/** Programs that were ended just now may still be writing. */
const REMOVAL = { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: { readme: { type: 'boolean', default: false } },
})
const wanted = names.length === 0 ? clients : names.map(clientOf)
const folder = await mkdtemp(join(tmpdir(), 'gateway-clients-'))
const nodeFolder = await findNode()
const site = await openSite(folder)
const rows: Row[] = []
const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => interrupted.abort(new Error('interrupted')))
}
try {
  for (const client of wanted) {
    if (!interrupted.signal.aborted) rows.push(await tryClient(client, site))
  }
} finally {
  await site.close()
  await rm(folder, REMOVAL)
}
console.log(`\n${toMarkdown(rows)}`)
const { aborted: isInterrupted } = interrupted.signal
if (options.readme && !isInterrupted) {
  await writeFile(README, withRows(await readFile(README, 'utf8'), rows, clients))
}
process.exitCode = isInterrupted || rows.some((cells) => cells.includes('no')) ? 1 : 0

function clientOf(name: string): Client {
  const client = clients.find((one) => one.name === name)
  if (client) return client
  const known = clients.map((one) => one.name).join(', ')
  throw new Error(`There is no client ${name} here; there are ${known}`)
}

async function tryClient(client: Client, site: Site): Promise<Row> {
  console.log(`${client.title} ${versionOf(client)}`)
  const place = join(folder, client.name)
  const today = new Date().toISOString().slice(0, 10)
  const outcomes = await installAndTry(client, place, site)
  await rm(place, REMOVAL)
  return rowOf(client, outcomes, today)
}

/** @returns no outcomes where the client was skipped, which it says. */
async function installAndTry(client: Client, place: string, site: Site): Promise<Outcomes> {
  const skip = (reason: string): Outcomes => {
    console.log(`  SKIPPED: ${reason}`)
    return new Map()
  }
  try {
    await install(place, client.packages, nodeFolder, interrupted.signal)
  } catch (error) {
    return skip(`it cannot be installed: ${(error as Error).message}`)
  }
  return trial(client, place, site).catch((error) => {
    if (error instanceof NotHereError) return skip(error.message)
    throw error
  })
}

async function trial(client: Client, place: string, site: Site): Promise<Outcomes> {
  const deadline = AbortSignal.timeout(TIMEOUT_MS)
  const over = new AbortController()
  const signal = AbortSignal.any([deadline, over.signal, interrupted.signal])
  // Nothing of the person who runs this: their keys and settings stay out.
  const path = [
    nodeFolder,
    join(place, 'node_modules', '.bin'),
    '/usr/local/bin',
    '/usr/bin',
    '/bin',
  ]
  const env = { HOME: place, PATH: path.join(delimiter), LANG: 'C.UTF-8' }
  const driven = client.driver({
    folder: place,
    site,
    start: (program, args, options = {}) =>
      startProgram(program, args, options, { cwd: place, env, signal }),
  })
  try {
    return await tryAll(driven, report)
  } finally {
    over.abort()
    await endDaemons(place)
  }
}

function report(step: Step, { says, problem }: Outcome): void {
  console.log(`  ${step.padEnd(18)}${says}`)
  if (problem !== undefined) console.log(problem.slice(-MAX_PROBLEM_CHARS).replace(/^/gm, '      '))
}
