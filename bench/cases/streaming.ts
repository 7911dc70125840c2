import { type CaseReport, defineCase, ensure } from '../harness/case.ts'
import { errorsOf } from '../harness/outcome-table.ts'
import { pooled } from '../harness/pooled.ts'
import { interleave, type Outcome } from '../harness/rounds.ts'
import { forwarderSends, gatewaySends, portkeySends, proveSend } from '../harness/sends.ts'
import type { Site } from '../harness/site.ts'
import { atMost, compare, hasErrors } from '../harness/verdict.ts'
import { ERAS, sendMessage } from '../load/calls.ts'
import type { LoadResult } from '../load/job.ts'
import { figure } from '../report/format.ts'

const DELTAS = 50
const DELTA_MS = 10

export const streaming = defineCase({
  name: 'streaming',
  about: 'how soon streamed text arrives, and what each piece of it costs',
  async run(site) {
    await site.setUpstream()
    for (const era of ERAS) await proveSend(await site.gateway(), era)
    await site.setUpstream({ latencyMs: 20, deltas: DELTAS, deltaMs: DELTA_MS })
    const report: CaseReport = { notes: NOTES, tables: [], verdicts: [] }
    for (const connections of [1, 64]) {
      const outcomes = await compete(site, connections)
      ensure(
        outcomes.every(({ rounds }) => rounds.every(({ result }) => seen(result))),
        'the first piece of text is seen in every stream',
      )
      const conditions = `${connections} stream${connections > 1 ? 's' : ''}`
      report.tables.push(streamTable(conditions, outcomes))
      report.verdicts.push(...judge(conditions, outcomes))
    }
    return report
  },
})

const NOTES = [
  `Answers of ${DELTAS} pieces, ${DELTA_MS} ms apart. The first piece says when the upstream sent it, so the times are exact: the gateway’s until its first progress notification is at the client, the others’ until the first byte of the body is.`,
  'CPU per piece is all of the server’s CPU, storing included, over the pieces that went through it.',
]

const seen = ({ requests, stampToText }: LoadResult) => stampToText.length === requests

async function compete(site: Site, connections: number): Promise<Outcome[]> {
  // One stream at a time gives few answers.
  const seconds = site.scale.roundSeconds * (connections === 1 ? 2 : 1)
  const load = { connections, seconds }
  const gateway = await site.gateway()
  const contenders = [
    ...ERAS.map((era) =>
      gatewaySends(gateway, era, load, { call: sendMessage(era, { progress: true }) }),
    ),
    await portkeySends(site, load, { stream: true }),
    forwarderSends(await site.forwarder(), load, { stream: true }),
  ]
  return interleave(
    site.generator,
    site.scale,
    contenders.map((contender) => ({ ...contender, job: { ...contender.job, findsStamps: true } })),
  )
}

const firstMs = (outcome: Outcome, share: number) =>
  pooled(outcome, (result) => (outcome.isOurs ? result.stampToText : result.stampToByte), share)

const deltaMicros = ({ cpuMicros }: Outcome) => cpuMicros / DELTAS

function streamTable(conditions: string, outcomes: Outcome[]) {
  return {
    heading: conditions,
    columns: ['', 'answers', 'first text p50 ms', 'p99 ms', 'CPU µs/piece', 'errors'],
    rows: outcomes.map((outcome) => [
      outcome.name,
      String(outcome.rounds.reduce((sum, { result }) => sum + result.requests, 0)),
      figure(firstMs(outcome, 0.5)),
      figure(firstMs(outcome, 0.99)),
      figure(deltaMicros(outcome)),
      errorsOf(outcome),
    ]),
  }
}

function judge(conditions: string, outcomes: Outcome[]) {
  const portkey = outcomes.find(({ name }) => name === 'Portkey')
  if (!portkey || hasErrors(portkey)) return []
  return outcomes
    .filter(({ isOurs }) => isOurs)
    .flatMap((ours) => [
      atMost(
        `${conditions}, ${ours.name}: first progress p50 <= Portkey’s first byte`,
        hasErrors(ours) ? Number.NaN : firstMs(ours, 0.5) / firstMs(portkey, 0.5),
        1,
      ),
      atMost(
        `${conditions}, ${ours.name}: CPU per piece <= Portkey’s`,
        compare(ours, portkey, deltaMicros),
        1,
      ),
    ])
}
