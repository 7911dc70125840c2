import { type Insertable, type Kysely, type RawBuilder, sql } from 'kysely'
import type { LedgerTable, Schema } from '../../database/schema.ts'

export type NewLedgerRow = Omit<Insertable<LedgerTable>, 'unitPrices'> & {
  unitPrices: object | null
}

export type LedgerRow = Awaited<ReturnType<LedgerRepository['list']>>[number]
export const USAGE_GROUPS = ['day', 'model', 'conversation', 'tag', 'user'] as const
export type UsageGroup = (typeof USAGE_GROUPS)[number]

/** First and last UTC day, both included. */
export type DayRange = { from: string; to: string }

/** Whose sums: one user's, or everyone's for an admin. */
export type UsageReader = { userId: string; readsEverybody: boolean }

/** Decimal text where 64 bits are needed. `key` is null for calls without a tag. */
export type UsageSum = {
  key: string | null
  /** Whether another user than the reader has calls under it. */
  isOthers: boolean
  calls: string
  estimatedCalls: string
  unpricedCalls: string
  inputTokens: string
  outputTokens: string
  cacheReadTokens: string
  cacheWriteTokens: string
  costNanoUsd: string
}

/** A page of groups. */
export type GroupPage = { limit: number; offset: number }

/** `groups`: their number on all pages. */
export type UsageSums = { rows: UsageSum[]; total: UsageSum; groups: number }

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
    const order = by === 'day' ? sql`key` : sql`cost_nano_usd desc, key`
    const { rows } = await sql<UsageSum & { place: string; groups: string | null }>`
      with l as materialized (
        select ${GROUP_KEYS[by]} as key, bool_or(l.user_id <> ${userId}::uuid) as is_others,
          ${by === 'conversation' ? OF_CALLS : OF_DAYS}
        from ${by === 'conversation' ? sql`ledger` : sql`usage_daily`} l
        ${by === 'user' ? sql`left join users u on u.id = l.user_id` : sql``}
        where ${mine} and l.booked_on between ${from}::date and ${to}::date
        group by 1
      ),
      page as (
        select row_number() over (order by ${order}) as place, l.*
        from l order by place limit ${limit} offset ${offset}
      )
      select *, null as groups from page
      union all
      select 0, null, false, ${OF_GROUPS}, count(*) from l
      order by place`.execute(this.#db)
    const [total, ...page] = rows.map(({ place: _place, groups: _groups, ...row }) => row)
    if (total === undefined) throw new Error('a sum over nothing is a row too')
    return { rows: page, total, groups: Number(rows[0]?.groups) }
  }

  /** Rows after `afterId` in the order they were written, for an export in pages. */
  async list({ from, to }: DayRange, afterId: string, limit: number) {
    return this.#db
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
  }
}

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

const GROUP_KEYS: Record<UsageGroup, RawBuilder<unknown>> = {
  day: sql`to_char(l.booked_on, 'YYYY-MM-DD')`,
  model: sql`l.model`,
  conversation: sql`l.conversation_id::text`,
  tag: sql`nullif(l.tag, '')`,
  user: sql`coalesce(u.username, l.user_id::text)`,
}
