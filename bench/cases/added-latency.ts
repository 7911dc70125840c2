import { defineCase } from '../harness/case.ts'
import { errorsOf } from '../harness/outcome-table.ts'
import { pooled } from '../harness/pooled.ts'
import { interleave, type Outcome } from '../harness/rounds.ts'
import { forwarderSends, gatewaySends, portkeySends, proveSend } from '../harness/sends.ts'
import { atMost, hasErrors } from '../harness/verdict.ts'
import { ERAS } from '../load/calls.ts'
import { figure } from '../report/format.ts'

export const addedLatency = defineCase({
  name: 'added-latency',
  about: 'what a message takes longer than calling the upstream directly, one at a time',
  async run(site) {
    await site.setUpstream()
    const gateway = await site.gateway()
    for (const era of ERAS) await proveSend(gateway, era)
    await site.setUpstream({ latencyMs: 50 })
    const load = { connections: 1, seconds: site.scale.roundSeconds * 2 }
    const outcomes = await interleave(site.generator, site.scale, [
      { ...forwarderSends(await site.upstream(), load), name: 'direct' },
      ...ERAS.map((era) => gatewaySends(gateway, era, load)),
      await portkeySends(site, load),
      forwarderSends(await site.forwarder(), load),
    ])
    return {
      notes: [
        'Upstream 50 ms, c = 1, 10 messages of history. Percentiles over all rounds; what is added is the difference to the same percentile of the direct calls.',
      ],
      tables: [latencyTable(outcomes)],
      verdicts: judge(outcomes),
    }
  },
})

const at = (outcome: Outcome, share: number) => pooled(outcome, ({ latencies }) => latencies, share)

function latencyTable(outcomes: Outcome[]) {
  const [direct] = outcomes as [Outcome]
  return {
    heading: 'Latency in milliseconds',
    columns: ['', 'requests', 'p50', 'p95', 'p99', 'added p50', 'added p95', 'added p99', 'errors'],
    rows: outcomes.map((outcome) => [
      outcome.name,
      String(outcome.rounds.reduce((sum, { result }) => sum + result.requests, 0)),
      ...SHARES.map((share) => figure(at(outcome, share))),
      ...SHARES.map((share) =>
        outcome === direct ? '' : figure(at(outcome, share) - at(direct, share)),
      ),
      errorsOf(outcome),
    ]),
  }
}

const SHARES = [0.5, 0.95, 0.99]

function judge(outcomes: Outcome[]) {
  const find = (name: string) => outcomes.find((outcome) => outcome.name === name)
  const [direct, portkey] = [find('direct'), find('Portkey')]
  if (!direct || !portkey) return []
  const added = (outcome: Outcome, share: number) =>
    hasErrors(outcome) ? Number.NaN : at(outcome, share) - at(direct, share)
  return outcomes
    .filter(({ isOurs }) => isOurs)
    .flatMap((ours) => [
      atMost(`${ours.name}: added p50 <= Portkey’s`, added(ours, 0.5) / added(portkey, 0.5), 1),
      atMost(
        `${ours.name}: added p99 <= half of Portkey’s`,
        added(ours, 0.99) / added(portkey, 0.99),
        0.5,
      ),
    ])
}
