import { type CaseReport, defineCase, ensure } from '../harness/case.ts'
import { type Bench, registerUsers, startGateway } from '../harness/gateway.ts'
import { bearer, type User } from '../harness/identity.ts'
import { outcomeTable } from '../harness/outcome-table.ts'
import { interleave } from '../harness/rounds.ts'
import { gatewaySends, proveSend } from '../harness/sends.ts'
import type { ServerProcess } from '../harness/server-process.ts'
import { hasErrors } from '../harness/verdict.ts'
import { askTool } from '../load/ask.ts'
import { gatewayCall, sendMessage } from '../load/calls.ts'

const ERA = '2025-11-25'

export const replicas = defineCase({
  name: 'replicas',
  about: 'two replicas on one PostgreSQL, beside one',
  async run(site) {
    await site.setUpstream()
    const gateway = await site.gateway()
    const second = await startGateway(site, { url: gateway.url })
    await prove(gateway, second)
    const report: CaseReport = { notes: NOTES, tables: [], verdicts: [] }
    for (const connections of site.scale.connections) {
      const load = { connections, seconds: site.scale.roundSeconds }
      const servers = [gateway.server, second]
      const both = {
        origins: servers.map(({ origin }) => origin),
        pids: servers.map(({ pid }) => pid),
      }
      const outcomes = await interleave(site.generator, site.scale, [
        { ...gatewaySends(gateway, ERA, load), name: 'one' },
        { ...gatewaySends(gateway, ERA, load, both), name: 'two' },
      ])
      report.tables.push(outcomeTable(`send_message, c = ${connections}`, outcomes))
      const isRight = outcomes.every((outcome) => !hasErrors(outcome))
      report.verdicts.push({
        target: `c = ${connections}: every answer once in the ledger, nothing left reserved`,
        measured: isRight ? 'yes' : 'no',
        isMet: isRight,
      })
    }
    await second.stop()
    return report
  },
})

const NOTES = [
  `MCP ${ERA}, upstream 0 ms; half of the connections go to either replica. All of them, PostgreSQL, the upstream and the load generator share this machine: more replicas than it has free cores cannot be faster.`,
  'Checked before: what one stored, the other shows; a token that one revoked, the other refuses at once.',
]

async function prove(gateway: Bench, second: ServerProcess): Promise<void> {
  for (const server of [gateway.server, second]) await proveSend({ ...gateway, server }, ERA)
  const item = gateway.pool.items[0]
  const sent = await askTool(gateway.server.origin, sendMessage(ERA), item)
  const { message_id: id } = sent.structuredContent.data
  const get = gatewayCall(ERA, 'get_message', { message_id: id })
  const { structuredContent } = await askTool(second.origin, get, item)
  ensure(structuredContent.data.status === 'complete', 'the other replica has the answer')

  const [leaver] = (await registerUsers(second, 1, 'leaver')) as [User]
  const headers = bearer(leaver)
  await askTool(second.origin, gatewayCall(ERA, 'revoke_token', {}), { headers })
  const list = gatewayCall(ERA, 'get_conversations', {}, { expect: '"next_cursor"' })
  const refused = await askTool(gateway.server.origin, list, { headers }).catch(
    (error: Error) => error.message,
  )
  ensure(String(refused).includes('answered 401'), 'a revoked token is refused by the other')
}
