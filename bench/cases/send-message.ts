import { type Case, defineCase, ensure } from '../harness/case.ts'
import { outcomeTable } from '../harness/outcome-table.ts'
import { interleave, type Outcome } from '../harness/rounds.ts'
import {
  forwarderSends,
  gatewaySends,
  goingOnSends,
  portkeySends,
  proveSend,
} from '../harness/sends.ts'
import type { Site } from '../harness/site.ts'
import { aim, atLeast, atMost, compare } from '../harness/verdict.ts'
import { askText } from '../load/ask.ts'
import { ERAS } from '../load/calls.ts'

const LATENCIES_MS = [0, 50]

export const sendMessage = defineCase({
  name: 'send-message',
  about: 'a durable send_message against Portkey’s plain forward of the same conversation',
  async run(site) {
    await prove(site)
    const report: Awaited<ReturnType<Case['run']>> = {
      notes: NOTES,
      tables: [],
      verdicts: [],
      bars: [],
    }
    for (const latencyMs of LATENCIES_MS) {
      await site.setUpstream({ latencyMs })
      for (const connections of site.scale.connections) {
        const outcomes = await compete(site, connections)
        const conditions = `upstream ${latencyMs} ms, c = ${connections}`
        report.tables.push(outcomeTable(`send_message, ${conditions}`, outcomes))
        report.verdicts.push(...judge(outcomes, conditions))
        if (latencyMs === 0 && connections === 16)
          report.bars?.push(...panels(outcomes, conditions))
      }
    }
    return report
  },
})

const NOTES = [
  'The gateway reads the conversation (10 messages) from PostgreSQL, and writes two messages, the reservation, the ledger and the counters; the forwarders get the 10 messages with each request and store nothing.',
  '“going on”: each conversation had its last messages through this gateway a moment ago, so that it is remembered, and sealed; the others were changed behind the gateway since, and are read.',
  'Checked before: the answer, its tokens, the sealed rows. Checked after every round: one row in the ledger for every answer, nothing left reserved.',
  'CPU is the server’s own; PostgreSQL’s is shown beside it.',
]

async function prove(site: Site): Promise<void> {
  await site.setUpstream()
  for (const era of ERAS) await proveSend(await site.gateway(), era)
  const load = { connections: 1, seconds: 1 }
  for (const { name, job } of [
    await portkeySends(site, load),
    forwarderSends(await site.forwarder(), load),
  ]) {
    const { requests } = await site.upstreamCounts()
    await askText(String(job.origins[0]), job, job.items[0])
    ensure((await site.upstreamCounts()).requests === requests + 1, `${name} forwards`)
  }
}

async function compete(site: Site, connections: number): Promise<Outcome[]> {
  const load = { connections, seconds: site.scale.roundSeconds }
  const gateway = await site.gateway()
  return interleave(site.generator, site.scale, [
    ...ERAS.map((era) => gatewaySends(gateway, era, load)),
    await goingOnSends(site, gateway, '2026-07-28', load),
    await portkeySends(site, load),
    forwarderSends(await site.forwarder(), load),
  ])
}

function judge(outcomes: Outcome[], conditions: string) {
  const portkey = outcomes.find(({ name }) => name === 'Portkey')
  return outcomes
    .filter(({ isOurs }) => isOurs)
    .flatMap((ours) => {
      const faster = compare(ours, portkey, ({ perSecond }) => perSecond)
      const dearer = compare(ours, portkey, ({ cpuMicros }) => cpuMicros)
      return [
        atLeast(`${conditions}, ${ours.name}: requests/s >= 1.2x Portkey’s`, faster, 1.2),
        atMost(`${conditions}, ${ours.name}: CPU per request <= 1.0x Portkey’s`, dearer, 1),
        aim(atLeast(`${conditions}, ${ours.name}: aim requests/s >= 2x Portkey’s`, faster, 2)),
      ]
    })
}

function panels(outcomes: Outcome[], conditions: string) {
  const bars = (of: (outcome: Outcome) => number) =>
    outcomes
      .filter(({ name }) => name !== 'plain forwarder')
      .map((outcome) => ({ label: outcome.name, value: of(outcome), isOurs: outcome.isOurs }))
  return [
    {
      title: 'One message, requests per second',
      remark: `${conditions}; more is better. The gateway stores everything, Portkey nothing.`,
      bars: bars(({ perSecond }) => perSecond),
    },
    {
      title: 'One message, CPU microseconds of the server',
      remark: `${conditions}; less is better`,
      bars: bars(({ cpuMicros }) => cpuMicros),
    },
  ]
}
