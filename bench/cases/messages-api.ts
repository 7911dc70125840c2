import {
  type ApiLoad,
  apiItems,
  gatewayApi,
  portkeyApi,
  proveApi,
  type Shape,
} from '../harness/api-sends.ts'
import { type CaseReport, defineCase } from '../harness/case.ts'
import { outcomeTable } from '../harness/outcome-table.ts'
import { interleave, type Outcome } from '../harness/rounds.ts'
import type { Site } from '../harness/site.ts'
import { aim, atLeast, atMost, compare } from '../harness/verdict.ts'
import type { Item } from '../load/job.ts'

const SMALL = 2_000
/** What Claude Code sends before its user has said anything. */
const CLAUDE_CODE = 60_000
const LARGE = 5_000_000
const LATENCIES_MS = [0, 50]
/** Pieces of a streamed answer, and between them. */
const DELTAS = 50
const DELTA_MS = 10

export const messagesApi = defineCase({
  name: 'messages-api',
  about: 'POST /v1/messages, held and booked, against Portkey’s plain forward of the same bytes',
  async run(site) {
    const bench = await site.gateway()
    const items = await apiItems(bench)
    const report: CaseReport = { notes: NOTES, tables: [], verdicts: [] }
    await site.setUpstream()
    await proveApi(
      site,
      await contenders(site, items, { connections: 1, seconds: 1 }, SMALL, false),
    )
    for (const isStream of [false, true]) {
      for (const latencyMs of LATENCIES_MS) {
        for (const connections of [1, ...site.scale.connections]) {
          await site.setUpstream({ latencyMs })
          const outcomes = await compete(site, items, connections, { bytes: SMALL, isStream })
          const conditions = `${isStream ? 'stream' : 'JSON'}, 2 KB, upstream ${latencyMs} ms, c = ${connections}`
          report.tables.push(outcomeTable(conditions, outcomes))
          report.verdicts.push(...judge(outcomes, conditions, connections))
        }
      }
    }
    await compareSizes(site, items, report)
    await comparePieces(site, items, report)
    return report
  },
})

const NOTES = [
  'The gateway checks the token, counts the request, reserves the worst case before it forwards and books the answer after it, in PostgreSQL with fsync. Portkey has no authentication, no budget and no storage.',
  'Checked before: one call is forwarded and booked. Checked after every round: one row in the ledger for every answer, nothing left reserved.',
]

async function contenders(
  site: Site,
  items: Item[],
  load: ApiLoad,
  bytes: number,
  isStream: boolean,
) {
  const shape = { bytes, isStream }
  return [gatewayApi(await site.gateway(), items, load, shape), await portkeyApi(site, load, shape)]
}

async function compete(site: Site, items: Item[], connections: number, shape: Shape) {
  const load = { connections, seconds: site.scale.roundSeconds }
  const all = await contenders(site, items, load, shape.bytes, shape.isStream)
  return interleave(site.generator, site.scale, all)
}

const micros = ({ cpuMicros }: Outcome) => cpuMicros

function judge([ours, portkey]: Outcome[], conditions: string, connections: number) {
  if (connections === 1) {
    const p50 = compare(ours, portkey, ({ p50Ms }) => p50Ms)
    return [atMost(`${conditions}: p50 <= Portkey’s`, p50, 1)]
  }
  const faster = compare(ours, portkey, ({ perSecond }) => perSecond)
  return [
    atLeast(`${conditions}: requests/s >= 1.3x Portkey’s`, faster, 1.3),
    atMost(`${conditions}: CPU per request <= 0.7x Portkey’s`, compare(ours, portkey, micros), 0.7),
    aim(atLeast(`${conditions}: aim requests/s >= 2x Portkey’s`, faster, 2)),
  ]
}

/** Alternating with the small ones, so that the ratio is of one moment. */
async function compareSizes(site: Site, items: Item[], report: CaseReport): Promise<void> {
  await site.setUpstream()
  const load = { connections: 16, seconds: site.scale.roundSeconds }
  const sized = async (bytes: number, name: string) =>
    (await contenders(site, items, load, bytes, false)).map((one) => ({
      ...one,
      name: `${one.name}, ${name}`,
    }))
  const outcomes = await interleave(site.generator, site.scale, [
    ...(await sized(SMALL, '2 KB')),
    ...(await sized(CLAUDE_CODE, '60 KB')),
    ...(await sized(LARGE, '5 MB')),
  ])
  report.tables.push(outcomeTable('bodies of three sizes, JSON, c = 16', outcomes))
  const [small, , middle, , large, theirLarge] = outcomes
  report.verdicts.push(
    atMost('60 KB: CPU <= 1.2x that of 2 KB', compare(middle, small, micros), 1.2),
    aim(atMost('5 MB: CPU per request <= Portkey’s', compare(large, theirLarge, micros), 1)),
  )
}

async function comparePieces(site: Site, items: Item[], report: CaseReport): Promise<void> {
  await site.setUpstream({ deltas: DELTAS, deltaMs: DELTA_MS })
  const outcomes = await compete(site, items, 64, { bytes: SMALL, isStream: true })
  report.tables.push(
    outcomeTable(`streams of ${DELTAS} pieces, ${DELTA_MS} ms apart, c = 64`, outcomes),
  )
  const [ours, portkey] = outcomes
  report.verdicts.push(
    atMost('CPU per streamed piece <= 0.4x Portkey’s', compare(ours, portkey, micros), 0.4),
  )
}
