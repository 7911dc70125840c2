import { type CaseReport, defineCase, ensure } from '../harness/case.ts'
import { bearer } from '../harness/identity.ts'
import { everythingEchoes, speaks, statelessEchoes } from '../harness/mcp-contenders.ts'
import { outcomeTable } from '../harness/outcome-table.ts'
import { type Contender, interleave, type Outcome } from '../harness/rounds.ts'
import type { Site } from '../harness/site.ts'
import { aim, atLeast, compare } from '../harness/verdict.ts'
import { askTool } from '../load/ask.ts'
import { type Call, ERAS, gatewayCall } from '../load/calls.ts'

/** In the answer of get_conversations: an echo answers with one text, this with five rows. */
const ROWS = 5

const HEALTH_CHECK = 'health_check'
const GET_CONVERSATIONS = 'get_conversations'

export const mcpCalls = defineCase({
  name: 'mcp-calls',
  about: 'health_check and get_conversations against servers that only echo',
  async run(site) {
    const calls = ERAS.flatMap((era) => [
      { name: `${HEALTH_CHECK}, MCP ${era}`, call: gatewayCall(era, 'health_check', {}) },
      {
        name: `${GET_CONVERSATIONS}, MCP ${era}`,
        call: gatewayCall(era, 'get_conversations', { limit: ROWS }, { expect: '"next_cursor"' }),
      },
    ])
    for (const { call } of calls) await prove(site, call)
    const report: CaseReport = { notes: NOTES, tables: [], verdicts: [], bars: [] }
    for (const connections of site.scale.connections) {
      const outcomes = await compete(site, calls, connections)
      report.tables.push(outcomeTable(`c = ${connections}`, outcomes))
      report.verdicts.push(...judge(outcomes, connections))
      if (connections === 16) report.bars?.push(panel(outcomes))
    }
    return report
  },
})

const NOTES = [
  `The gateway checks the bearer token and its session, counts the request against the limits and reads the database; get_conversations opens ${ROWS} sealed rows. The others echo a word, to anybody. server-everything has a session for every connection; fastmcp is stateless and answers JSON.`,
  'Checked before: the answers, and that without the token there is none.',
]

async function prove(site: Site, call: Call): Promise<void> {
  const { server, users } = await site.gateway()
  const [user] = users
  ensure(user !== undefined, 'somebody is registered')
  const { structuredContent } = await askTool(server.origin, call, { headers: bearer(user) })
  if (call.body.includes(HEALTH_CHECK)) {
    ensure(structuredContent.data.database.reachable, 'the database is asked')
    return
  }
  ensure(structuredContent.conversations.length === ROWS, `${ROWS} conversations are listed`)
  ensure(
    structuredContent.conversations.every(({ title }: { title: string }) => title.includes('fox')),
    'titles are opened',
  )
  const refused = await askTool(server.origin, call).catch((error: Error) => error.message)
  ensure(String(refused).includes('answered 401'), 'without a token there is no answer')
}

async function compete(site: Site, calls: { name: string; call: Call }[], connections: number) {
  const load = { connections, seconds: site.scale.roundSeconds }
  const { server, users, databasePid } = await site.gateway()
  const items = users.map((user) => ({ headers: bearer(user) }))
  const fastmcp = await site.fastmcp()
  const fastmcpEras = await Promise.all(ERAS.map((era) => speaks(fastmcp, era)))
  const contenders: Contender[] = [
    ...calls.map(({ name, call }) => ({
      name,
      isOurs: true,
      pids: [server.pid],
      databasePid,
      job: { ...load, origins: [server.origin], ...call, items },
    })),
    await everythingEchoes(await site.everything(), load),
    ...(await Promise.all(
      ERAS.filter((_, index) => fastmcpEras[index]).map((era) =>
        statelessEchoes(fastmcp, `fastmcp echo, MCP ${era}`, era, load),
      ),
    )),
    await statelessEchoes(await site.mcpStub(), 'plain MCP stub', '2025-11-25', load),
  ]
  return interleave(site.generator, site.scale, contenders)
}

const RIVALS = [
  { name: 'server-everything', starts: 'server-everything', health: 1.5, conversations: 1 },
  { name: 'fastmcp', starts: 'fastmcp echo', health: 2, conversations: 1.5 },
]

function judge(outcomes: Outcome[], connections: number) {
  const fastest = (starts: string) =>
    outcomes
      .filter(({ name }) => name.startsWith(starts))
      .sort((a, b) => b.perSecond - a.perSecond)[0]
  return outcomes
    .filter(({ isOurs }) => isOurs)
    .flatMap((ours) =>
      RIVALS.flatMap(({ name, starts, health, conversations }) => {
        const least = ours.name.startsWith(HEALTH_CHECK) ? health : conversations
        const faster = compare(ours, fastest(starts), ({ perSecond }) => perSecond)
        const target = (factor: number) =>
          `c = ${connections}, ${ours.name}: requests/s >= ${factor}x ${name}’s`
        return [
          atLeast(target(least), faster, least),
          ...(least < 2 && name === 'server-everything'
            ? [aim(atLeast(target(2), faster, 2))]
            : []),
        ]
      }),
    )
}

const panel = (outcomes: Outcome[]) => ({
  title: 'MCP tool calls, requests per second',
  remark:
    'c = 16; more is better. The gateway’s need a token and read the database; the others echo.',
  bars: outcomes
    .filter(({ name }) => name !== 'plain MCP stub')
    .map(({ name, perSecond, isOurs }) => ({ label: name, value: perSecond, isOurs })),
})
