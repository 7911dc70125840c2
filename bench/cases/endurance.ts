import { sql } from 'kysely'
import { defineCase, ensure, type Table } from '../harness/case.ts'
import {
  folderBytes,
  newDataDir,
  openBenchDatabase,
  type Place,
  registerUsers,
  startGateway,
} from '../harness/gateway.ts'
import { bearer } from '../harness/identity.ts'
import { cpuMicros } from '../harness/process-usage.ts'
import type { ServerProcess } from '../harness/server-process.ts'
import type { Site } from '../harness/site.ts'
import { atMost } from '../harness/verdict.ts'
import { gatewayCall, QUESTION } from '../load/calls.ts'
import { figure, megabytes } from '../report/format.ts'
import { percentile } from '../report/statistics.ts'

const CONNECTIONS = 16
const SENDS_PER_STEP = 1000
/** Between the two that are compared, so that both meet the machine as it is. */
const SENDS_PER_PIECE = 125
/** More than any step takes. */
const STEP_LIMIT_SECONDS = 600

type Step = { p50Ms: number; p99Ms: number; perSecond: number; cpuMicros: number | undefined }

export const endurance = defineCase({
  name: 'endurance',
  about: 'a new database under many sends: does the last thousand take longer than the first?',
  async run(site) {
    await site.setUpstream()
    const dataDir = await newDataDir()
    const { url } = await freshPostgresql(site)
    const embedded = await ageOf(site, { dataDir }, { dataDir: await newDataDir() })
    const postgresql = await ageOf(site, { url }, await freshPostgresql(site))
    const rowBytes = await bytesOfRows({ dataDir })
    const totalBytes = await folderBytes(dataDir)
    return {
      notes: [
        'The last thousand is compared with the first of another new database, in turn with it: a machine has its own ups and downs.',
        `New conversations, c = ${CONNECTIONS}, ${SENDS_PER_STEP} sends a step, from the first ever on; nobody analyzes or vacuums but the gateway, and PostgreSQL itself.`,
        `DATA_DIR after it: ${megabytes(totalBytes)} MB, of which rows and their indexes are ${megabytes(rowBytes)} MB.`,
      ],
      tables: [
        table('embedded', embedded.steps),
        table('PostgreSQL, just created', postgresql.steps),
      ],
      verdicts: [
        atMost('embedded: p50 of the last 1,000 <= 1.3x of the first', embedded.growth, 1.3),
        atMost('PostgreSQL: p50 of the last 1,000 <= 1.3x of the first', postgresql.growth, 1.3),
        atMost('DATA_DIR <= 3x its rows', totalBytes / rowBytes, 3),
      ],
    }
  },
})

async function freshPostgresql(site: Site): Promise<{ url: string }> {
  const cluster = await site.cluster()
  return { url: await cluster.createDatabase() }
}

/** A gateway and those who send to it. */
type Seat = { server: ServerProcess; items: { headers: Record<string, string> }[] }

async function openSeat(site: Site, place: Place): Promise<Seat> {
  const server = await startGateway(site, place)
  const users = await registerUsers(server, CONNECTIONS)
  return { server, items: users.map((user) => ({ headers: bearer(user) })) }
}

async function ageOf(
  site: Site,
  place: Place,
  otherPlace: Place,
): Promise<{ steps: Step[]; growth: number }> {
  const aged = await openSeat(site, place)
  const steps: Step[] = []
  while (steps.length < site.scale.enduranceSteps - 1) steps.push(await step(site, aged))
  const fresh = await openSeat(site, otherPlace)
  const [old, young] = [[] as number[], [] as number[]]
  for (let sent = 0; sent < SENDS_PER_STEP; sent += SENDS_PER_PIECE) {
    young.push(...(await send(site, fresh, SENDS_PER_PIECE)).latencies)
    old.push(...(await send(site, aged, SENDS_PER_PIECE)).latencies)
  }
  for (const { server } of [aged, fresh]) await server.stop()
  return { steps, growth: percentile(old, 0.5) / percentile(young, 0.5) }
}

async function step(site: Site, seat: Seat): Promise<Step> {
  const { server } = seat
  const before = cpuMicros(server.pid)
  const { requests, seconds, latencies } = await send(site, seat, SENDS_PER_STEP)
  const after = cpuMicros(server.pid)
  process.stderr.write('.')
  return {
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    perSecond: requests / seconds,
    cpuMicros: before && after && (after - before) / requests,
  }
}

async function send({ generator }: Site, { server, items }: Seat, count: number) {
  const result = await generator.run({
    connections: CONNECTIONS,
    seconds: STEP_LIMIT_SECONDS,
    requests: count,
    origins: [server.origin],
    items,
    ...gatewayCall(
      '2025-11-25',
      'send_message',
      { message: QUESTION },
      { expect: '"status":"complete"' },
    ),
  })
  ensure(result.requests === count, `${JSON.stringify(result.errors)} in a step`)
  return result
}

function table(heading: string, steps: Step[]): Table {
  return {
    heading,
    columns: ['sends', 'requests/s', 'p50 ms', 'p99 ms', 'CPU µs/request'],
    rows: steps.map((one, index) => [
      String((index + 1) * SENDS_PER_STEP),
      figure(one.perSecond),
      figure(one.p50Ms),
      figure(one.p99Ms),
      figure(one.cpuMicros),
    ]),
  }
}

/** Heaps, indexes and what lies beside them, of the gateway's own tables. */
async function bytesOfRows(place: Place): Promise<number> {
  const database = await openBenchDatabase(place)
  const { rows } = await sql<{ bytes: string }>`
    select sum(pg_total_relation_size(oid))::text as bytes
    from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`.execute(
    database.db,
  )
  await database.close()
  return Number(rows[0]?.bytes)
}
