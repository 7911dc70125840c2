import { defineCase, ensure } from '../harness/case.ts'
import { registerUsers } from '../harness/gateway.ts'
import { bearer, type User } from '../harness/identity.ts'
import { outcomeTable } from '../harness/outcome-table.ts'
import { type Contender, interleave } from '../harness/rounds.ts'
import type { Site } from '../harness/site.ts'
import { atMost, compare } from '../harness/verdict.ts'
import { askTool } from '../load/ask.ts'
import { gatewayCall } from '../load/calls.ts'
import { deepOffset, seedManyConversations, settle } from '../seed/many-conversations.ts'

const ERA = '2025-11-25'
const CONNECTIONS = 4
const LIMIT = 50
const FEW = 1000
/** What counts as equal, measured twice. */
const NOISE = 1.15

export const conversations = defineCase({
  name: 'conversations',
  about: 'get_conversations of a user with 1,000 and of one with a million conversations',
  async run(site) {
    const many = site.scale.manyConversations
    const { server, database } = await site.gateway()
    const [few, lots] = (await registerUsers(server, 2, 'hoarder')) as [User, User]
    await seedManyConversations(database.db, few.userId, FEW)
    await seedManyConversations(database.db, lots.userId, many)
    await settle(database.db, 'conversations')
    const outcomes = await interleave(site.generator, site.scale, [
      ...(await pages(site, few, FEW)),
      ...(await pages(site, lots, many)),
    ])
    const [fewFirst, fewDeep, manyFirst, manyDeep] = outcomes
    const time = ({ p50Ms }: { p50Ms: number }) => p50Ms
    return {
      notes: [
        `MCP ${ERA}, c = ${CONNECTIONS}, ${LIMIT} rows a page, every title opened, the total included. A deep page begins in the middle of the list.`,
      ],
      tables: [outcomeTable('get_conversations', outcomes)],
      verdicts: [
        atMost('first page: p50 of many <= 1.3x of few', compare(manyFirst, fewFirst, time), 1.3),
        atMost('deep page: p50 of many <= 1.3x of few', compare(manyDeep, fewDeep, time), 1.3),
        atMost(
          `many: deep page by cursor = first page (<= ${NOISE}x)`,
          compare(manyDeep, manyFirst, time),
          NOISE,
        ),
      ],
    }
  },
})

async function pages(site: Site, user: User, count: number): Promise<Contender[]> {
  const { server, databasePid } = await site.gateway()
  const headers = bearer(user)
  const ask = async (args: object) => {
    const { structuredContent } = await askTool(server.origin, listing(args), { headers })
    return structuredContent
  }
  // The row before the page, at the price of an offset, to learn its cursor from the gateway.
  const before = await ask({ limit: 1, offset: deepOffset(count) })
  const deep = { limit: LIMIT, cursor: before.next_cursor }
  for (const page of [await ask({ limit: LIMIT }), await ask(deep)]) {
    ensure(page.total === count, `the total is ${count}`)
    ensure(page.conversations.length === LIMIT, `a page has ${LIMIT} rows`)
    ensure(page.next_cursor !== null, 'there is a page after it')
  }
  const contender = (name: string, args: object): Contender => ({
    name: `${count.toLocaleString('en-US')} conversations, ${name}`,
    isOurs: true,
    pids: [server.pid],
    databasePid,
    job: {
      connections: CONNECTIONS,
      seconds: site.scale.roundSeconds,
      origins: [server.origin],
      ...listing(args),
      items: [{ headers }],
    },
  })
  return [contender('first page', { limit: LIMIT }), contender('deep page', deep)]
}

const listing = (args: object) =>
  gatewayCall(ERA, 'get_conversations', args, { expect: '"next_cursor"' })
