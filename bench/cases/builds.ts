import { resolve } from 'node:path'
import { type Case, defineCase } from '../harness/case.ts'
import { type Bench, openStandingGateway } from '../harness/gateway.ts'
import { outcomeTable } from '../harness/outcome-table.ts'
import { interleave, type Outcome } from '../harness/rounds.ts'
import { gatewaySends, goingOnSends, proveSend } from '../harness/sends.ts'
import type { Site } from '../harness/site.ts'
import { atMost } from '../harness/verdict.ts'
import { median } from '../report/statistics.ts'

const ERA = '2026-07-28'

/** What a change may cost. */
const MOST = 1.03

/** @param root a checkout with its dist/. Both builds send in turn, each on its own database. */
export const builds = (root: string): Case =>
  defineCase({
    name: 'builds',
    about: 'a durable send_message of this build and of another one',
    async run(site) {
      await site.setUpstream()
      const tables = []
      const verdicts = []
      const other = await openStandingGateway(site, resolve(root))
      for (const connections of site.scale.connections) {
        for (const past of ['taken up', 'going on'] as const) {
          const at = `${past}, c = ${connections}`
          const [ours, theirs] = await compete(site, other, connections, past)
          tables.push(outcomeTable(`send_message, ${at}`, [ours, theirs]))
          for (const [what, of] of FIGURES) {
            const ratio = median(
              ours.rounds.map((round, index) => of(round) / of(theirs.rounds[index] as Round)),
            )
            verdicts.push(atMost(`${at}: ${what} <= ${MOST}x the other's`, ratio, MOST))
          }
        }
      }
      return {
        notes: [`Ratios are medians of those of each round. The other: ${root}`],
        tables,
        verdicts,
      }
    },
  })

type Round = Outcome['rounds'][number]

const perRequest = (micros: number | undefined, { result }: Round) =>
  (micros ?? Number.NaN) / result.requests

const FIGURES: [string, (round: Round) => number][] = [
  ['time of a send', ({ perSecond }) => 1 / perSecond],
  ['CPU of a send', (round) => perRequest(round.cpuMicros, round)],
  ['CPU of PostgreSQL for it', (round) => perRequest(round.databaseMicros, round)],
]

async function compete(
  site: Site,
  other: Bench,
  connections: number,
  past: 'taken up' | 'going on',
): Promise<[Outcome, Outcome]> {
  const load = { connections, seconds: site.scale.roundSeconds }
  const contenders = []
  for (const [name, gateway] of [
    ['this build', await site.gateway()],
    ['the other', other],
  ] as const) {
    await proveSend(gateway, ERA)
    const sends =
      past === 'taken up'
        ? gatewaySends(gateway, ERA, load)
        : await goingOnSends(site, gateway, ERA, load)
    contenders.push({ ...sends, name })
  }
  const [ours, theirs] = await interleave(site.generator, site.scale, contenders)
  return [ours as Outcome, theirs as Outcome]
}
