/** What cases that send messages have in common: the contenders, and proofs that the work is done. */

import { sql } from 'kysely'
import { askTool } from '../load/ask.ts'
import { type Call, type Era, postMessages, sendMessage } from '../load/calls.ts'
import type { LoadResult } from '../load/job.ts'
import { type Pool, pastMessages, resetPool } from '../seed/conversations.ts'
import { INPUT_TOKENS, OUTPUT_TOKENS, PHRASE } from '../servers/claude-answer.ts'
import { ensure } from './case.ts'
import { type Bench, HISTORY_MESSAGES } from './gateway.ts'
import type { Contender } from './rounds.ts'
import type { ServerProcess } from './server-process.ts'
import type { Site } from './site.ts'

type Target = Pick<Bench, 'server' | 'pool' | 'database' | 'databasePid'>
type Load = { connections: number; seconds: number; requests?: number }

/**
 * The gateway; after every round the ledger must hold each answer once, and nothing reserved.
 *
 * Every round begins with the same past, which is written into the database behind the gateway: to
 * it, each conversation has been changed by others since it last saw it.
 */
export function gatewaySends(
  { server, pool, database, databasePid }: Target,
  era: Era,
  load: Load,
  {
    call = sendMessage(era),
    origins = [server.origin],
    pids = [server.pid],
    historyStart = 1,
  } = {},
): Contender & { noteLedger(): Promise<void> } {
  let lastId = '0'
  const noteLedger = async () => {
    lastId = (await ledgerSince(database, '0')).lastId
  }
  return {
    noteLedger,
    name: `gateway, MCP ${era}`,
    isOurs: true,
    pids,
    databasePid,
    job: { ...load, origins, ...call, items: pool.items },
    async prepare() {
      await resetPool(database.db, pool, historyStart)
      await noteLedger()
    },
    check: async (result) => complaintOf(await ledgerSince(database, lastId), result),
  }
}

/** Longer than sending twice to each conversation takes. */
const LONGEST_REVIVAL_SECONDS = 120

/**
 * The same with conversations that go on: their last two messages were sent through this gateway a
 * moment ago, which brings their past to {@link HISTORY_MESSAGES}. It takes two, as a conversation that
 * was changed behind the gateway is remembered only once it is found as the gateway has left it.
 */
export async function goingOnSends(
  site: Site,
  gateway: Bench,
  era: Era,
  load: Load,
): Promise<Contender> {
  const pool = await gateway.shorterPool()
  const sends = gatewaySends({ ...gateway, pool }, era, load)
  const requests = 2 * pool.items.length
  const revival = { ...sends.job, seconds: LONGEST_REVIVAL_SECONDS, requests }
  return {
    ...sends,
    name: `${sends.name}, going on`,
    async prepare() {
      await sends.prepare?.()
      const { errors } = await site.generator.run(revival)
      ensure(Object.keys(errors).length === 0, 'every conversation can be sent to')
      await sends.noteLedger()
    },
  }
}

type LedgerSum = { lastId: string; calls: number; tokens: number; reserved: number }

export async function ledgerSince({ db }: Bench['database'], id: string): Promise<LedgerSum> {
  const { rows } = await sql<LedgerSum>`
    select
      coalesce(max(id), 0)::text as last_id,
      count(*)::int as calls,
      coalesce(sum(input_tokens + output_tokens), 0)::int as tokens,
      (select count(*)::int from spending where reserved_tokens <> 0) + ${await ofTeams(db)} as reserved
    from ledger where id > ${id}::bigint`.execute(db)
  return rows[0] as LedgerSum
}

/** What teams have reserved; 0 for an older build, whose database knows none. */
async function ofTeams(db: Bench['database']['db']) {
  const { rows } = await sql<{ isThere: boolean }>`
    select to_regclass('team_spending') is not null as is_there`.execute(db)
  if (!rows[0]?.isThere) return sql`0`
  return sql`(
    select count(*)::int from spending where team_reserved_tokens <> 0
  ) + (
    select count(*)::int from team_spending where reserved_tokens <> 0
  )`
}

export function complaintOf({ calls, tokens, reserved }: LedgerSum, { requests }: LoadResult) {
  if (calls !== requests) return `${calls} rows in the ledger for ${requests} answers`
  if (tokens !== requests * (INPUT_TOKENS + OUTPUT_TOKENS)) return `${tokens} tokens in the ledger`
  return reserved === 0 ? undefined : `${reserved} budgets still hold reservations`
}

/** A forwarder's client sends the whole past each time. */
export function forwarderSends(
  server: ServerProcess,
  load: Load,
  { stream = false, headers = {} }: { stream?: boolean; headers?: Record<string, string> } = {},
): Contender {
  const call = postMessages(pastMessages(HISTORY_MESSAGES), { stream })
  return {
    name: server.name,
    pids: [server.pid],
    job: { ...load, origins: [server.origin], ...call, items: [{ headers }] },
  }
}

/** Portkey's own way to be told where to forward to. */
export async function portkeySends(site: Site, load: Load, options: { stream?: boolean } = {}) {
  const { origin } = await site.upstream()
  const headers = {
    'x-portkey-provider': 'anthropic',
    'x-portkey-custom-host': `${origin}/v1`,
  }
  return forwarderSends(await site.portkey(), load, { ...options, headers })
}

/** @throws Error unless one send does everything that it says it does. */
export async function proveSend(
  { server, pool, database }: Target,
  era: Era,
  call: Call = sendMessage(era),
): Promise<void> {
  await resetPool(database.db, pool)
  const { lastId } = await ledgerSince(database, '0')
  const item = pool.items[0]
  const { structuredContent } = await askTool(server.origin, call, item)
  const { data } = structuredContent
  ensure(data.content.includes(PHRASE), 'send_message returns the answer')
  ensure(data.history.sent === pool.messages, `Claude sees the ${pool.messages} earlier messages`)
  ensure(data.usage.output_tokens === OUTPUT_TOKENS, 'the usage is reported')
  const complaint = complaintOf(await ledgerSince(database, lastId), { requests: 1 } as LoadResult)
  ensure(complaint === undefined, String(complaint))
  await proveStored(database, pool, String(item?.value))
}

async function proveStored({ db }: Bench['database'], pool: Pool, id: string): Promise<void> {
  const rows = await db
    .selectFrom('messages')
    .select(['status', 'content'])
    .where('conversationId', '=', id)
    .where('position', '>', pool.messages)
    .execute()
  ensure(rows.length === 2, 'both messages of the turn are stored')
  ensure(
    rows.every(({ status, content }) => status === 'complete' && content !== null),
    'the turn is complete',
  )
  ensure(
    rows.every(({ content }) => !content?.includes('fox')),
    'contents are sealed',
  )
}
