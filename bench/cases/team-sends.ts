import { sql } from 'kysely'
import { teamWith } from '../../test/support/insert-team.ts'
import { type CaseReport, defineCase } from '../harness/case.ts'
import type { Bench } from '../harness/gateway.ts'
import { ENCRYPTION_KEY } from '../harness/identity.ts'
import { outcomeTable } from '../harness/outcome-table.ts'
import { type Contender, interleave, type Outcome } from '../harness/rounds.ts'
import { gatewaySends, proveSend } from '../harness/sends.ts'
import { aim, atLeast, atMost, compare, hasErrors } from '../harness/verdict.ts'
import { gatewayCall, QUESTION } from '../load/calls.ts'

const ERA = '2026-07-28'
/** Every limit is on, and high enough not to be reached. */
const LIMITS = { pool: 10n ** 15n, member: 10n ** 15n }
const ONE_POOL_PER_SECOND = 300
const DEARER_AT_MOST = 1.15

export const teamSends = defineCase({
  name: 'team-sends',
  about: 'a send_message that a team pays for against one’s own, and one pool under all senders',
  async run(site) {
    await site.setUpstream()
    const gateway = await site.gateway()
    const teams = await makeTeams(gateway)
    const report: CaseReport = { notes: NOTES, tables: [], verdicts: [] }
    await paidBy(gateway, teams.ofEach)
    await proveSend(gateway, ERA)
    for (const connections of site.scale.connections) {
      const load = { connections, seconds: site.scale.roundSeconds }
      const outcomes = await interleave(
        site.generator,
        site.scale,
        contenders(gateway, teams, load),
      )
      report.tables.push(outcomeTable(`send_message, upstream 0 ms, c = ${connections}`, outcomes))
      report.verdicts.push(...judge(outcomes, connections))
    }
    await paidBy(gateway, new Map())
    return report
  },
})

const NOTES = [
  'A team-paid send locks and writes the books of its sender, of the pool and of its sender’s part of the pool, each by day and month, and reads the team’s key and limits. All limits are on.',
  '“a team each”: the payer of the conversation is a team of its owner alone. “one pool”: all senders name the same team, and queue on its two rows.',
  'Checked before: a send that a team pays for. Checked after every round: one row in the ledger for every answer, nothing left reserved of senders or pools. A deadlock would be an error.',
]

type Teams = {
  /** Of each user, by the user’s id. */
  ofEach: Map<string, string>
  /** Of all users. */
  ofAll: string
}

async function makeTeams({ database, users }: Bench): Promise<Teams> {
  const make = async (memberIds: readonly string[]) => {
    const team = teamWith(ENCRYPTION_KEY, memberIds, LIMITS)
    await sql.raw(team.sql).execute(database.db)
    return team.id
  }
  const ofEach = new Map<string, string>()
  for (const { userId } of users) ofEach.set(userId, await make([userId]))
  return { ofEach, ofAll: await make(users.map(({ userId }) => userId)) }
}

/** Has the teams pay in the conversations of their users, and nobody in those of others. */
async function paidBy({ database }: Bench, teams: ReadonlyMap<string, string>): Promise<void> {
  const rows = JSON.stringify([...teams].map(([owner, team]) => ({ owner, team })))
  await sql`
    update conversations c set
      payer = case when t.team is null then 'sender' else 'team' end, paying_team_id = t.team
    from users u
    left join json_to_recordset(${rows}) as t (owner uuid, team uuid) on t.owner = u.id
    where c.user_id = u.id and c.paying_team_id is distinct from t.team`.execute(database.db)
}

type Load = { connections: number; seconds: number }

function contenders(gateway: Bench, { ofEach, ofAll }: Teams, load: Load): Contender[] {
  const paid = (name: string, teams: ReadonlyMap<string, string>, payWith?: string): Contender => {
    const sends = gatewaySends(gateway, ERA, load, { call: sendPaidWith(payWith) })
    const prepare = async () => {
      await sends.prepare?.()
      await paidBy(gateway, teams)
    }
    return { ...sends, name, prepare }
  }
  return [
    paid('own key', new Map()),
    paid('a team each', ofEach),
    paid('one pool', new Map(), `team:${ofAll}`),
  ]
}

const sendPaidWith = (payWith: string | undefined) =>
  gatewayCall(
    ERA,
    'send_message',
    {
      message: QUESTION,
      conversation_id: '{{value}}',
      ...(payWith !== undefined && { pay_with: payWith }),
    },
    { expect: '"status":"complete"' },
  )

function judge([own, each, pool]: Outcome[], connections: number) {
  const at = `c = ${connections}`
  const dearer = (of: (outcome: Outcome) => number) => compare(each, own, of)
  const perSecond = pool === undefined || hasErrors(pool) ? Number.NaN : pool.perSecond
  return [
    atMost(
      `${at}: CPU of gateway and PostgreSQL per team-paid send <= ${DEARER_AT_MOST}x one’s own`,
      dearer(({ cpuMicros, databaseMicros }) => cpuMicros + databaseMicros),
      DEARER_AT_MOST,
    ),
    aim(
      atMost(
        `${at}: CPU of the gateway per team-paid send <= ${DEARER_AT_MOST}x one’s own`,
        dearer(({ cpuMicros }) => cpuMicros),
        DEARER_AT_MOST,
      ),
    ),
    atLeast(
      `${at}: one pool takes ${ONE_POOL_PER_SECOND} sends/s`,
      perSecond,
      ONE_POOL_PER_SECOND,
      '/s',
    ),
  ]
}
