import { defineCase, ensure } from '../harness/case.ts'
import { type EmbeddedBench, openEmbeddedGateway } from '../harness/embedded.ts'
import { Prober } from '../harness/prober.ts'
import { atMost } from '../harness/verdict.ts'
import { askTool } from '../load/ask.ts'
import { gatewayCall } from '../load/calls.ts'
import type { Item } from '../load/job.ts'
import { figure } from '../report/format.ts'
import { percentile } from '../report/statistics.ts'
import { seedPool } from '../seed/conversations.ts'

const ERA = '2025-11-25'
const MESSAGES = 20_000
/** In each conversation. */
const LENGTH = 100

/** Where searches are sent, and the token of a user with so many messages. */
type Searched = { name: string; origin: string; item: Item | undefined }

export const search = defineCase({
  name: 'search',
  about: `search_conversations of a user with ${MESSAGES.toLocaleString('en')} messages`,
  async run(site) {
    await site.setUpstream()
    const size = { conversationsPerUser: MESSAGES / LENGTH, messages: LENGTH }
    const gateway = await site.gateway()
    const pool = await seedPool(gateway.database.db, gateway.users.slice(0, 1), size)
    const { origin } = gateway.server
    const times = site.scale.isQuick ? 10 : 50
    const onPostgresql = await measure({ name: 'PostgreSQL', origin, item: pool.items[0] }, times)
    const own: EmbeddedBench = await openEmbeddedGateway(site, { users: 1, ...size })
    const embedded = { origin: own.server.origin, item: own.pool.items[0] }
    const onEmbedded = await measure({ name: 'embedded', ...embedded }, times)
    await own.server.stop()
    const measured = [onPostgresql, onEmbedded]
    return {
      notes: [
        `${MESSAGES / LENGTH} conversations of ${LENGTH} messages of about 180 characters. One search at a time, ${times} of each kind. A search for a word that is nowhere compares every title and message, with its cursor where one call ends before. /livez is asked every 10 ms meanwhile: what it takes longer than a call of its own is the delay of the event loop.`,
      ],
      tables: [
        {
          heading: 'search_conversations',
          columns: ['database', 'first hits p50', 'whole scan p50', 'calls', '/livez p99'],
          rows: measured.map(({ name, firstMs, scanMs, calls, livezP99Ms }) => [
            name,
            `${figure(firstMs)} ms`,
            `${figure(scanMs)} ms`,
            String(calls),
            `${figure(livezP99Ms)} ms`,
          ]),
        },
      ],
      verdicts: [
        atMost('first hits < 100 ms on PostgreSQL', onPostgresql.firstMs, 100, 'ms'),
        atMost('a whole scan < 1 s on PostgreSQL', onPostgresql.scanMs, 1000, 'ms'),
        atMost('/livez p99 < 20 ms meanwhile', onPostgresql.livezP99Ms, 20, 'ms'),
      ],
    }
  },
})

async function measure({ name, origin, item }: Searched, times: number) {
  const first: number[] = []
  const scans: number[] = []
  let calls = 0
  const ask = async (query: string, cursor?: string) => {
    const args = { query, in: 'mine', ...(cursor === undefined ? {} : { cursor }) }
    const { structuredContent } = await askTool(
      origin,
      gatewayCall(ERA, 'search_conversations', args),
      item,
    )
    return structuredContent.data
  }
  ensure((await ask('lazy dog')).hits.length === 20, 'a word that is everywhere is found')
  const prober = new Prober(origin)
  for (let time = 0; time < times; time++) {
    first.push(await timed(() => ask('"lazy dog"')))
    let searched = 0
    calls = 0
    const scan = async () => {
      let cursor: string | undefined
      do {
        const page = await ask('nowhere', cursor)
        ensure(page.hits.length === 0, 'nothing is found that is not there')
        searched += page.searched
        calls += 1
        cursor = page.next_cursor ?? undefined
      } while (cursor !== undefined)
    }
    scans.push(await timed(scan))
    ensure(searched >= MESSAGES, 'a whole scan compares every message')
  }
  const livezP99Ms = percentile(await prober.stop(), 0.99)
  const [firstMs, scanMs] = [percentile(first, 0.5), percentile(scans, 0.5)]
  return { name, firstMs, scanMs, calls, livezP99Ms }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}
