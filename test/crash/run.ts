/**
 * Three real gateway processes on one PostgreSQL, under load, while everything around them fails.
 *
 * `npm run crash -- [--seconds 60] [--report docs/FAULTS.md] [--only 'PostgreSQL away']`, after
 * `npm run build`. Exits with 1 on any violation, with 2 when it could not run. Starts everything
 * it needs, ends all of that and nothing else, also when it is killed.
 */

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { type Era, register, type TestUser } from '../support/clients.ts'
import { runSql } from '../support/database-supplies.ts'
import { teamWith } from '../support/insert-team.ts'
import { API_CLIENTS, ApiObservations, ApiSender, insertApiToken } from './api-sender.ts'
import { type Line, openBareLine, openOfficialLine, repeatingOnce } from './calls.ts'
import { type Check, checkAll, settle } from './checks.ts'
import { phasesOf, runPhase } from './phases.ts'
import { type PhaseResult, type RunFacts, toMarkdown } from './report.ts'
import { Sender } from './sender.ts'
import { buildSite, REPLICAS, type Site, untilListening } from './site.ts'

const USERS = 5
const CLIENTS = 20
/** Of four clients of either kind, one has the team pay of which all users are members. */
const TEAM_SHARE = 4
const isPaidByTeam = (client: number) => client % TEAM_SHARE === 1
/** Starting, the last repeats, settling and checking take this long at most. */
const MARGIN_SECONDS = 480

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    report: { type: 'string', default: 'docs/FAULTS.md' },
    only: { type: 'string' },
  },
})
const seconds = Number(values.seconds)
const log = (text: string) => process.stdout.write(`${new Date().toISOString()} ${text}\n`)

const opened: { close(): unknown }[] = []

/** Some are official clients; the others are bare HTTP, which breaks more readily. */
function openLines(url: string, users: readonly TestUser[]): Line[] {
  return Array.from({ length: CLIENTS }, (_, i) => {
    const era: Era = i % 2 === 0 ? 'modern' : 'legacy'
    const { accessToken } = users[i % users.length] as TestUser
    const openLine = i % 4 < 2 && i < CLIENTS / 2 ? openOfficialLine : openBareLine
    return repeatingOnce(openLine(url, era, accessToken))
  })
}

/** Of all users. Its budgets are in force, and larger than what a run can spend. */
async function makeTeam({ cluster, settings }: Site, users: readonly TestUser[]): Promise<string> {
  const limits = { pool: 1_000_000_000_000n, member: 500_000_000_000n }
  const { id, sql } = teamWith(
    settings.ENCRYPTION_KEY as string,
    users.map(({ userId }) => userId),
    limits,
  )
  await runSql(cluster.url, sql)
  return id
}

async function openApiSenders(
  site: Site,
  users: readonly TestUser[],
  teamId: string,
  seen: ApiObservations,
) {
  const { balancer, cluster, habits } = site
  const senders: ApiSender[] = []
  for (let i = 0; i < API_CLIENTS; i++) {
    const { userId } = users[i % users.length] as TestUser
    const payingTeamId = isPaidByTeam(i) ? teamId : undefined
    const token = await insertApiToken(cluster.url, userId, payingTeamId)
    senders.push(new ApiSender(balancer.url, token, seen, habits))
  }
  return senders
}

type Clients = { lines: Line[]; apiSenders: readonly ApiSender[]; teamId: string }

async function load(site: Site, { lines, apiSenders, teamId }: Clients) {
  const { seen } = site
  const stop = new AbortController()
  const senders = [
    ...lines.map((line, i) => {
      const payWith = isPaidByTeam(i) ? `team:${teamId}` : undefined
      return new Sender(i, line, seen, site.habits, payWith).run(stop.signal)
    }),
    ...apiSenders.map((sender) => sender.run(stop.signal)),
  ]
  const results: PhaseResult[] = []
  for (const phase of phasesOf(values.only)) {
    log(`phase: ${phase.name}`)
    const startedAt = performance.now()
    const deeds = await runPhase(phase, site, seconds)
    results.push({
      name: phase.name,
      seconds: (performance.now() - startedAt) / 1000,
      deeds,
      figures: seen.takeFigures(),
    })
  }
  const endedAt = performance.now()
  stop.abort()
  await Promise.all(senders)
  results.push({ name: '(the last repeats)', seconds: 0, deeds: {}, figures: seen.takeFigures() })
  return { phases: results, endedAt }
}

async function run(): Promise<boolean> {
  const site = await buildSite(opened)
  const users: TestUser[] = []
  for (let i = 0; i < USERS; i++) users.push(await register(`${site.balancer.url}/mcp`))
  site.userIds.push(...users.map(({ userId }) => userId))
  const lines = openLines(`${site.balancer.url}/mcp`, users)
  const apiSeen = new ApiObservations()
  const teamId = await makeTeam(site, users)
  const apiSenders = await openApiSenders(site, users, teamId, apiSeen)
  const { phases, endedAt } = await load(site, { lines, apiSenders, teamId })
  log('the last messages are settling')
  await untilListening(site.replicas)
  await settle(site.cluster.url)
  const settledAfterSeconds = (performance.now() - endedAt) / 1000
  const checks = await checkAll({
    seen: site.seen,
    apiSeen,
    findings: site.findings,
    lines: openCheckLines(site, users),
    tallies: await site.upstream.report(),
    databaseUrl: site.cluster.url,
    settings: site.settings,
    selfInflicted: site.selfInflicted,
    kills: phases.reduce((sum, { deeds }) => sum + (deeds['kill -9 of a gateway'] ?? 0), 0),
  })
  await write(await factsOf(site, settledAfterSeconds), phases, checks)
  return checks.every(({ violations }) => violations.length === 0)
}

const openCheckLines = ({ balancer }: Site, users: readonly TestUser[]): Line[] =>
  Array.from({ length: CLIENTS }, (_, i) =>
    openBareLine(
      `${balancer.url}/mcp`,
      'legacy',
      (users[i % users.length] as TestUser).accessToken,
    ),
  )

async function factsOf({ cluster }: Site, settledAfterSeconds: number): Promise<RunFacts> {
  const [row] = await runSql(cluster.url, 'show server_version')
  const { version } = JSON.parse(
    await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  return {
    at: new Date(),
    args: `--seconds ${seconds}${values.only ? ` --only '${values.only}'` : ''}`,
    gatewayVersion: version,
    postgresqlVersion: String(row?.server_version).split(' ')[0] as string,
    seconds,
    settledAfterSeconds,
    replicas: REPLICAS,
    clients: CLIENTS,
    apiClients: API_CLIENTS,
  }
}

async function write(facts: RunFacts, phases: PhaseResult[], checks: Check[]): Promise<void> {
  await mkdir(dirname(values.report), { recursive: true })
  const text = toMarkdown(facts, phases, checks)
  await writeFile(values.report, text)
  process.stdout.write(`\n${text}\n`)
  // Once more at the end, which is what is kept of a long output.
  for (const { promise, violations } of checks) {
    if (violations.length > 0) log(`violated: ${promise}: ${violations.slice(0, 5).join('; ')}`)
  }
}

async function end(code: number): Promise<never> {
  for (const thing of opened.reverse()) await thing.close()
  process.exit(code)
}

if (!(seconds >= 10 && seconds <= 86_400)) throw new Error('--seconds takes 10 to 86400')
process.on('SIGINT', () => void end(130))
process.on('SIGTERM', () => void end(143))
setTimeout(
  () => {
    log('took too long')
    void end(2)
  },
  (seconds + MARGIN_SECONDS) * 1000,
).unref()

run().then(
  (isSound) => end(isSound ? 0 : 1),
  (error: unknown) => {
    log(`could not run: ${error instanceof Error ? error.stack : String(error)}`)
    return end(2)
  },
)
