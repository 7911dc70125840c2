import { defineCase, ensure } from '../harness/case.ts'
import { registerUsers } from '../harness/gateway.ts'
import { bearer, type User } from '../harness/identity.ts'
import { outcomeTable } from '../harness/outcome-table.ts'
import { type Contender, interleave } from '../harness/rounds.ts'
import type { Site } from '../harness/site.ts'
import { atMost, compare, hasErrors } from '../harness/verdict.ts'
import { askTool } from '../load/ask.ts'
import { gatewayCall } from '../load/calls.ts'
import { settle } from '../seed/many-conversations.ts'
import { INPUT_TOKENS_EACH, OUTPUT_TOKENS_EACH, seedLedger } from '../seed/many-ledger-rows.ts'

const ERA = '2025-11-25'
const FEW = 10_000
const GROUPS = ['day', 'model'] as const

export const usage = defineCase({
  name: 'usage',
  about: 'get_usage over 10,000 and over a million rows of the ledger',
  async run(site) {
    const many = site.scale.manyLedgerRows
    const { server, database } = await site.gateway()
    const [few, lots] = (await registerUsers(server, 2, 'spender')) as [User, User]
    await seedLedger(database.db, few.userId, FEW)
    await seedLedger(database.db, lots.userId, many)
    await settle(database.db, 'ledger')
    const contenders: Contender[] = []
    for (const group of GROUPS) {
      contenders.push(
        await contender(site, few, FEW, group),
        await contender(site, lots, many, group),
      )
    }
    const outcomes = await interleave(site.generator, site.scale, contenders)
    return {
      notes: [`MCP ${ERA}, c = 1, the last 30 days, over which the rows are spread evenly.`],
      tables: [outcomeTable('get_usage', outcomes)],
      verdicts: GROUPS.flatMap((group, index) => {
        const [fewer, more] = outcomes.slice(index * 2)
        const p50 = more && !hasErrors(more) ? more.p50Ms : Number.NaN
        const slower = compare(more, fewer, ({ p50Ms }) => p50Ms)
        return [
          atMost(`by ${group}: p50 of many rows < 10x of 10,000`, slower, 10),
          atMost(`by ${group}: p50 of many rows under 100 ms`, p50, 100, 'ms'),
        ]
      }),
    }
  },
})

async function contender(
  site: Site,
  user: User,
  rows: number,
  group: (typeof GROUPS)[number],
): Promise<Contender> {
  const { server, databasePid } = await site.gateway()
  const headers = bearer(user)
  const call = gatewayCall(ERA, 'get_usage', { group_by: group })
  const { structuredContent } = await askTool(server.origin, call, { headers })
  const { total } = structuredContent.data
  ensure(total.calls === rows, `${rows} calls are counted`)
  ensure(total.input_tokens === rows * INPUT_TOKENS_EACH, 'their input tokens are')
  ensure(total.output_tokens === rows * OUTPUT_TOKENS_EACH, 'their output tokens are')
  return {
    name: `${rows.toLocaleString('en-US')} rows by ${group}`,
    isOurs: true,
    pids: [server.pid],
    databasePid,
    job: {
      connections: 1,
      seconds: site.scale.roundSeconds,
      origins: [server.origin],
      ...call,
      items: [{ headers }],
    },
  }
}
