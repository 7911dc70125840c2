import { defineCase, ensure } from '../harness/case.ts'
import { type EmbeddedBench, openEmbeddedGateway } from '../harness/embedded.ts'
import { HISTORY_MESSAGES } from '../harness/gateway.ts'
import { outcomeTable } from '../harness/outcome-table.ts'
import { Prober } from '../harness/prober.ts'
import { type Contender, interleave } from '../harness/rounds.ts'
import { gatewaySends, proveSend } from '../harness/sends.ts'
import { atLeast, atMost, compare } from '../harness/verdict.ts'
import { askTool } from '../load/ask.ts'
import { sendMessage } from '../load/calls.ts'
import { figure } from '../report/format.ts'
import { percentile } from '../report/statistics.ts'

const ERA = '2025-11-25'
const CONNECTIONS = 16

export const embedded = defineCase({
  name: 'embedded',
  about: 'send_message on the embedded database against PostgreSQL',
  async run(site) {
    await site.setUpstream()
    const gateway = await site.gateway()
    await proveSend(gateway, ERA)
    const own = await openEmbeddedGateway(site, {
      users: CONNECTIONS,
      conversationsPerUser: site.scale.conversationsPerUser,
      messages: HISTORY_MESSAGES,
    })
    await prove(own)
    const probes: number[] = []
    const load = { connections: CONNECTIONS, seconds: site.scale.roundSeconds }
    const [onPostgresql, onEmbedded] = await interleave(site.generator, site.scale, [
      { ...gatewaySends(gateway, ERA, load), name: 'on PostgreSQL' },
      embeddedSends(own, load, probes),
    ])
    await own.server.stop()
    const livezP99 = percentile(probes, 0.99)
    return {
      notes: [
        `MCP ${ERA}, upstream 0 ms, c = ${CONNECTIONS}. /livez is asked every 10 ms meanwhile.`,
        'The conversations on the embedded database grow from round to round.',
        `/livez on the embedded database: p50 ${figure(percentile(probes, 0.5))} ms, p99 ${figure(livezP99)} ms, longest ${figure(Math.max(...probes))} ms of ${probes.length}.`,
      ],
      tables: [
        outcomeTable(
          'send_message',
          [onPostgresql, onEmbedded].filter((one) => one !== undefined),
        ),
      ],
      verdicts: [
        atLeast(
          'requests/s >= 0.5x of PostgreSQL',
          compare(onEmbedded, onPostgresql, ({ perSecond }) => perSecond),
          0.5,
        ),
        atMost('/livez p99 < 50 ms meanwhile', livezP99, 50, 'ms'),
      ],
    }
  },
})

async function prove({ server, pool, calls }: EmbeddedBench): Promise<void> {
  const before = await calls()
  const { structuredContent } = await askTool(server.origin, sendMessage(ERA), pool.items[0])
  ensure(structuredContent.data.history.sent === pool.messages, 'Claude sees the earlier messages')
  ensure((await calls()) === before + 1, 'the answer is in the ledger')
}

/** Puts what /livez took into `probes`. */
function embeddedSends(
  { server, pool, calls }: EmbeddedBench,
  load: { connections: number; seconds: number },
  probes: number[],
): Contender {
  let booked = 0
  let prober: Prober | undefined
  return {
    name: 'on the embedded database',
    isOurs: true,
    pids: [server.pid],
    job: { ...load, origins: [server.origin], ...sendMessage(ERA), items: pool.items },
    async prepare() {
      booked = await calls()
      await prober?.stop()
      prober = new Prober(server.origin)
    },
    async check({ requests }) {
      probes.push(...((await prober?.stop()) ?? []))
      prober = undefined
      const added = (await calls()) - booked
      return added === requests ? undefined : `${added} rows in the ledger for ${requests} answers`
    },
  }
}
