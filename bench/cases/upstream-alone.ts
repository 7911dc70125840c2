import { defineCase, ensure } from '../harness/case.ts'
import { outcomeTable } from '../harness/outcome-table.ts'
import { interleave } from '../harness/rounds.ts'
import { forwarderSends } from '../harness/sends.ts'
import { atLeast } from '../harness/verdict.ts'
import { askText } from '../load/ask.ts'
import { postMessages } from '../load/calls.ts'

const LEAST_PER_SECOND = 10_000

export const upstreamAlone = defineCase({
  name: 'upstream-alone',
  about: 'the stand-in for Claude and the load generator, with nothing between them',
  async run(site) {
    const upstream = await site.upstream()
    await site.setUpstream()
    const stream = await askText(upstream.origin, postMessages([], { stream: true }))
    ensure(stream.includes('event: message_stop'), 'the stream ends as it should')
    const load = { connections: 16, seconds: site.scale.roundSeconds }
    const contenders = [
      { ...forwarderSends(upstream, load), name: 'JSON' },
      { ...forwarderSends(upstream, load, { stream: true }), name: 'events' },
    ]
    const outcomes = await interleave(site.generator, site.scale, contenders)
    return {
      notes: ['c = 16, upstream 0 ms. What no case can exceed.'],
      tables: [outcomeTable('The upstream by itself', outcomes)],
      verdicts: outcomes.map(({ name, perSecond }) =>
        atLeast(`${name}: requests/s >= 10,000`, perSecond, LEAST_PER_SECOND, '/s'),
      ),
    }
  },
})
