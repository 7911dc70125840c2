import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { toBigInt } from './budgets.ts'

/** What one billed call adds to the ledger, besides whose it was and what it was for. */
export type LedgerEntry = {
  model: string
  inputTokens: number
  cacheWrite5mTokens: number
  cacheWrite1hTokens: number
  cacheReadTokens: number
  outputTokens: number
  thinkingTokens: number
  /** Nano-USD per token; null, like the cost, when the price is not known. */
  unitPrices: object | null
  costNanoUsd: bigint | null
  /** Why it holds more than Anthropic reported; null when it does not. */
  estimated: string | null
  requestId: string | null
  tag: string | null
}

export type LedgerRow = Awaited<ReturnType<LedgerRepository['list']>>[number]
export const USAGE_GROUPS = [
  'day',
  'model',
  'conversation',
  'tag',
  'session',
  'client',
  'source',
  'key',
  'user',
] as const
export type UsageGroup = (typeof USAGE_GROUPS)[number]

/** First and last UTC day, both included. */
export type DayRange = { from: string; to: string }

/** Whose sums: one user's, or everyone's for an admin. */
export type UsageReader = { userId: string; readsEverybody: boolean }

/** Sums over calls; `inputTokens` is all input, cached or not. */
export type UsageFigures = {
  calls: number
  estimatedCalls: number
  unpricedCalls: number
  inputTokens: number
  outputTokens: number
  cacheReadTokens: number
  cacheWriteTokens: number
  costNanoUsd: bigint
}

/** What only a session is asked for, in the same days. A sub-agent is what the client said of itself. */
export type SessionFacts = {
  models: string[]
  /** When its first call began, and its last one ended. */
  firstCallAt: Date
  lastCallAt: Date
  subagentCostNanoUsd: bigint
}

/** `key` is null for calls without one, such as those without a tag. */
export type UsageSum = UsageFigures & {
  key: string | null
  /** Null in every other group, and for the calls without a session. */
  session: SessionFacts | null
  /** Whose session it is: two users may call theirs the same. Null in every other group. */
  username: string | null
  /** Whether another user than the reader has calls under it. */
  isOthers: boolean
}

/** A page of groups. */
export type GroupPage = { limit: number; offset: number }

/** `groups`: their number on all pages. */
export type UsageSums = { rows: UsageSum[]; total: UsageFigures; groups: number }

/** Append-only: nothing here updates or deletes. */
export class LedgerRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * A page of sums by group, highest cost first (days in order), and of all groups together.
   */
  async sum(
    { userId, readsEverybody }: UsageReader,
    { from, to }: DayRange,
    by: UsageGroup,
    { limit, offset }: GroupPage,
  ): Promise<UsageSums> {
    const mine = readsEverybody ? sql`true` : sql`l.user_id = ${userId}::uuid`
    const order = by === 'day' ? sql`key` : sql`cost_nano_usd desc, key, username`
    const isSummedDaily = SUMMED_DAILY.has(by)
    const { rows } = await sql<StoredSum>`
      with l as materialized (
        select ${GROUP_KEYS[by]} as key, ${by === 'session' ? USERNAME : sql`null::text`} as username,
          bool_or(l.user_id <> ${userId}::uuid) as is_others,
          ${by === 'session' ? SESSION_FACTS : sql`null::jsonb`} as session,
          ${isSummedDaily ? OF_DAYS : OF_CALLS}
        from ${isSummedDaily ? sql`usage_daily` : sql`ledger`} l
        ${by === 'user' || by === 'session' ? sql`left join users u on u.id = l.user_id` : sql``}
        where ${mine} and l.booked_on between ${from}::date and ${to}::date
        group by 1, 2
      ),
      page as (
        select row_number() over (order by ${order}) as place, l.*
        from l order by place limit ${limit} offset ${offset}
      )
      select *, null as groups from page
      union all
      select 0, null, null, false, null, ${OF_GROUPS}, count(*) from l
      order by place`.execute(this.#db)
    const [total, ...page] = rows
    if (total === undefined) throw new Error('a sum over nothing is a row too')
    return {
      rows: page.map((row) => ({
        key: row.key,
        username: row.username,
        isOthers: row.isOthers,
        session: row.session === null ? null : toSessionFacts(row.session),
        ...toFigures(row),
      })),
      total: toFigures(total),
      groups: Number(total.groups),
    }
  }

  /** Of these conversations those that no longer exist. */
  async listDeleted(conversationIds: readonly string[]): Promise<string[]> {
    const { rows } = await sql<{ id: string }>`
      select asked.id
      from unnest(${conversationIds}::uuid[]) as asked (id)
      where not exists (select from conversations c where c.id = asked.id)`.execute(this.#db)
    return rows.map(({ id }) => id)
  }

  /** Whether the user paid for something in a conversation that no longer exists. */
  async knowsDeleted(userId: string, conversationId: string): Promise<boolean> {
    const { rows } = await sql`
      select from ledger l
      where l.user_id = ${userId}::uuid and l.conversation_id = ${conversationId}::uuid
        and not exists (select from conversations c where c.id = l.conversation_id)
      limit 1`.execute(this.#db)
    return rows.length > 0
  }

  /** Rows after `afterId` in the order they were written, for an export in pages. */
  async list({ from, to }: DayRange, afterId: string, limit: number) {
    const rows = await this.#db
      .selectFrom('ledger')
      .leftJoin('users', 'users.id', 'ledger.userId')
      .selectAll('ledger')
      .select('users.username')
      .where('ledger.id', '>', afterId)
      .where('bookedOn', '>=', from)
      .where('bookedOn', '<=', to)
      .orderBy('ledger.id')
      .limit(limit)
      .execute()
    return rows.map(withCost)
  }
}

/** 64 bits come as decimal text. */
type StoredSum = Record<keyof UsageFigures, string> & {
  key: string | null
  username: string | null
  isOthers: boolean
  session: StoredFacts | null
  groups: string | null
}

/** JSON has the times and the 64 bits as text. */
type StoredFacts = { models: string[]; first: string; last: string; subagentCost: string }

const toSessionFacts = ({ models, first, last, subagentCost }: StoredFacts): SessionFacts => ({
  models,
  firstCallAt: new Date(first),
  lastCallAt: new Date(last),
  subagentCostNanoUsd: BigInt(subagentCost),
})

const toFigures = (sum: StoredSum): UsageFigures => ({
  calls: Number(sum.calls),
  estimatedCalls: Number(sum.estimatedCalls),
  unpricedCalls: Number(sum.unpricedCalls),
  inputTokens: Number(sum.inputTokens),
  outputTokens: Number(sum.outputTokens),
  cacheReadTokens: Number(sum.cacheReadTokens),
  cacheWriteTokens: Number(sum.cacheWriteTokens),
  costNanoUsd: BigInt(sum.costNanoUsd),
})

/** A stored row with its cost as a number; null: the price is not known. */
export const withCost = <Row extends { costNanoUsd: string | null }>(row: Row) => ({
  ...row,
  costNanoUsd: toBigInt(row.costNanoUsd),
})

/** Columns over the ledger's own rows, where no sums are kept. */
const OF_CALLS = sql`
  count(*) as calls,
  count(l.estimated) as estimated_calls,
  count(*) - count(l.cost_nano_usd) as unpriced_calls,
  sum(l.input_tokens + l.cache_write_5m_tokens + l.cache_write_1h_tokens + l.cache_read_tokens)
    as input_tokens,
  sum(l.output_tokens) as output_tokens,
  sum(l.cache_read_tokens) as cache_read_tokens,
  sum(l.cache_write_5m_tokens + l.cache_write_1h_tokens) as cache_write_tokens,
  coalesce(sum(l.cost_nano_usd), 0)::bigint as cost_nano_usd`

/** A line is written when its call has ended. */
const SESSION_FACTS = sql`
  case when l.session_label is not null then jsonb_build_object(
    'models', array_agg(distinct l.model),
    'first', min(l.created_at - coalesce(l.ms_total, 0) * interval '1 millisecond'),
    'last', max(l.created_at),
    'subagentCost', coalesce(sum(l.cost_nano_usd) filter (where l.agent_id is not null), 0)::text
  ) end`

/** Columns over the daily sums. */
const OF_DAYS = sql`
  sum(l.calls)::bigint as calls,
  sum(l.estimated_calls)::bigint as estimated_calls,
  sum(l.unpriced_calls)::bigint as unpriced_calls,
  sum(l.input_tokens)::bigint as input_tokens,
  sum(l.output_tokens)::bigint as output_tokens,
  sum(l.cache_read_tokens)::bigint as cache_read_tokens,
  sum(l.cache_write_tokens)::bigint as cache_write_tokens,
  sum(l.cost_nano_usd)::bigint as cost_nano_usd`

/** Columns over the groups, in the same order. */
const OF_GROUPS = sql`
  coalesce(sum(l.calls), 0)::bigint as calls,
  coalesce(sum(l.estimated_calls), 0)::bigint as estimated_calls,
  coalesce(sum(l.unpriced_calls), 0)::bigint as unpriced_calls,
  coalesce(sum(l.input_tokens), 0)::bigint as input_tokens,
  coalesce(sum(l.output_tokens), 0)::bigint as output_tokens,
  coalesce(sum(l.cache_read_tokens), 0)::bigint as cache_read_tokens,
  coalesce(sum(l.cache_write_tokens), 0)::bigint as cache_write_tokens,
  coalesce(sum(l.cost_nano_usd), 0)::bigint as cost_nano_usd`

/** The groups that the daily sums know; the others are added up from the ledger's own rows. */
const SUMMED_DAILY: ReadonlySet<UsageGroup> = new Set(['day', 'model', 'tag', 'user'])

/** An account that was deleted is named by its id. */
const USERNAME = sql`coalesce(u.username, l.user_id::text)`

const GROUP_KEYS: Record<UsageGroup, RawBuilder<unknown>> = {
  day: sql`to_char(l.booked_on, 'YYYY-MM-DD')`,
  model: sql`l.model`,
  conversation: sql`l.conversation_id::text`,
  tag: sql`nullif(l.tag, '')`,
  session: sql`l.session_label`,
  client: sql`l.client`,
  source: sql`l.source`,
  key: sql`l.key_last_four`,
  user: USERNAME,
}
