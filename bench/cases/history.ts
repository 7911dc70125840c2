import { defineCase, ensure } from '../harness/case.ts'
import { outcomeTable } from '../harness/outcome-table.ts'
import { interleave } from '../harness/rounds.ts'
import { gatewaySends } from '../harness/sends.ts'
import { atMost, compare } from '../harness/verdict.ts'
import { askTool } from '../load/ask.ts'
import { sendMessage } from '../load/calls.ts'
import { resetPool, seedPool } from '../seed/conversations.ts'

const ERA = '2025-11-25'
const CONNECTIONS = 16
/** MAX_CONVERSATION_LENGTH as it comes. */
const WINDOW = 100
const LENGTHS = [10, 100, 1000]
const USERS = 16

/** Where the gateway's own cuts leave a conversation: no more than a window of it is read. */
const historyStart = (length: number) => Math.max(1, length - WINDOW + 1)

export const history = defineCase({
  name: 'history',
  about:
    'send_message in conversations of 10, 100 and 1,000 messages, of which 100 are sent at most',
  async run(site) {
    await site.setUpstream()
    const gateway = await site.gateway()
    const conversationsPerUser = site.scale.isQuick ? 2 : 6
    const sends = USERS * conversationsPerUser * (site.scale.isQuick ? 2 : 6)
    const contenders = []
    for (const messages of LENGTHS) {
      const start = historyStart(messages)
      const pool = await seedPool(gateway.database.db, gateway.users.slice(0, USERS), {
        conversationsPerUser,
        messages,
        historyStart: start,
      })
      const { structuredContent } = await askTool(
        gateway.server.origin,
        sendMessage(ERA),
        pool.items[0],
      )
      const { sent, omitted } = structuredContent.data.history
      ensure(
        sent + omitted === messages && sent <= WINDOW,
        `${messages} messages are accounted for`,
      )
      await resetPool(gateway.database.db, pool, start)
      contenders.push({
        ...gatewaySends(
          { ...gateway, pool },
          ERA,
          { connections: CONNECTIONS, seconds: 120, requests: sends },
          { historyStart: start },
        ),
        name: `${messages} messages`,
      })
    }
    const outcomes = await interleave(site.generator, site.scale, contenders)
    const [, hundred, thousand] = outcomes
    return {
      notes: [
        `MCP ${ERA}, upstream 0 ms, c = ${CONNECTIONS}, MAX_CONVERSATION_LENGTH=${WINDOW}. Each round is ${sends} sends into the same conversations, which begin each round at that length.`,
      ],
      tables: [outcomeTable('send_message', outcomes)],
      verdicts: [
        atMost(
          'CPU of 1,000 messages <= 1.15x of 100',
          compare(thousand, hundred, ({ cpuMicros }) => cpuMicros),
          1.15,
        ),
        atMost(
          'time of 1,000 messages <= 1.15x of 100',
          compare(thousand, hundred, ({ perSecond }) => 1 / perSecond),
          1.15,
        ),
      ],
    }
  },
})
