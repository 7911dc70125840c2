/** Sums of the ledger by team, member, tag, model, day and payer, from the sums that its triggers keep. */

import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import type { DayRange, UsageFigures } from './ledger.ts'

export const ALLOCATION_GROUPS = ['team', 'member', 'tag', 'model', 'day', 'payer'] as const
export type AllocationGroup = (typeof ALLOCATION_GROUPS)[number]

/** `own`: users with their own keys. */
export type Payer = 'own' | 'team'

/** What is counted; left out: everything. */
export type AllocationScope = { teamId?: string; userId?: string; payer?: Payer | undefined }

/** `id`: of a team or user, also one that is gone. A null `key`: no team, no tag. */
export type AllocationKey = { key: string | null; id?: string | null }

export type AllocationRow = UsageFigures & {
  keys: Partial<Record<AllocationGroup, AllocationKey>>
  /** Whether another user than the reader has calls under it. */
  isOthers: boolean
}

const FIGURES = [
  'calls',
  'estimated_calls',
  'unpriced_calls',
  'input_tokens',
  'output_tokens',
  'cache_read_tokens',
  'cache_write_tokens',
  'cost_nano_usd',
] as const

export class AllocationRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * In the order of their keys. Together they are what the ledger has in the range, exactly, with any
   * number of groups, and also after what they name was renamed or deleted.
   *
   * @param readerId for {@link AllocationRow.isOthers}.
   */
  async sum(
    { from, to }: DayRange,
    groups: readonly AllocationGroup[],
    scope: AllocationScope,
    page: { limit: number; offset: number },
    readerId: string | null = null,
  ): Promise<AllocationRow[]> {
    const keys = groups.flatMap((group) => COLUMNS[group])
    const isOfTeams = scope.teamId !== undefined || scope.payer === 'team'
    const { rows } = await sql<StoredRow>`
      with l as (
        select * from ${isOfTeams ? OF_TEAMS : ALL} as l
        where l.booked_on between ${from}::date and ${to}::date
          ${scope.teamId === undefined ? sql`` : sql`and l.team_id = ${scope.teamId}::uuid`}
          ${scope.payer === 'own' ? sql`and l.team_id is null` : sql``}
          ${scope.userId === undefined ? sql`` : sql`and l.user_id = ${scope.userId}::uuid`}
      )
      select ${sql.join(keys)},
        coalesce(bool_or(l.user_id <> ${readerId}::uuid), true) as is_others, ${SUMS}
      from l
      left join teams t on t.id = l.team_id
      left join users u on u.id = l.user_id
      group by ${sql.join(keys.map((_, index) => sql.raw(`${index + 1}`)))}
      having sum(l.calls) <> 0
      order by ${sql.join(keys.map((_, index) => sql.raw(`${index + 1}`)))}
      limit ${page.limit} offset ${page.offset}`.execute(this.#db)
    return rows.map((row) => toRow(row, groups))
  }
}

type StoredRow = Record<string, string | null> & { isOthers: boolean }

const OF_TEAMS = sql.raw('usage_daily_team')

/** What users paid for themselves is what they caused, less what teams paid for. */
const ALL = sql.raw(`(
  select null::uuid as team_id, user_id, booked_on, model, tag, ${FIGURES.join(', ')} from usage_daily
  union all
  select null, user_id, booked_on, model, tag, ${FIGURES.map((name) => `- ${name}`).join(', ')}
  from usage_daily_team
  union all
  select team_id, user_id, booked_on, model, tag, ${FIGURES.join(', ')} from usage_daily_team
)`)

const SUMS = sql.raw(FIGURES.map((name) => `sum(l.${name})::bigint as ${name}`).join(', '))

/** A team or user that is gone is named by its id. */
const COLUMNS: Record<AllocationGroup, RawBuilder<unknown>[]> = {
  team: [sql`coalesce(t.name, l.team_id::text) as team`, sql`l.team_id::text as team_id`],
  member: [sql`coalesce(u.username, l.user_id::text) as member`, sql`l.user_id::text as member_id`],
  tag: [sql`nullif(l.tag, '') as tag`],
  model: [sql`l.model as model`],
  day: [sql`to_char(l.booked_on, 'YYYY-MM-DD') as day`],
  payer: [sql`case when l.team_id is null then 'own' else 'team' end as payer`],
}

function toRow(row: StoredRow, groups: readonly AllocationGroup[]): AllocationRow {
  const keyOf = (group: AllocationGroup): AllocationKey => {
    const key = row[group] ?? null
    if (group === 'team') return { key, id: row.teamId ?? null }
    return group === 'member' ? { key, id: row.memberId ?? null } : { key }
  }
  return {
    keys: Object.fromEntries(groups.map((group) => [group, keyOf(group)])),
    isOthers: row.isOthers,
    calls: Number(row.calls),
    estimatedCalls: Number(row.estimatedCalls),
    unpricedCalls: Number(row.unpricedCalls),
    inputTokens: Number(row.inputTokens),
    outputTokens: Number(row.outputTokens),
    cacheReadTokens: Number(row.cacheReadTokens),
    cacheWriteTokens: Number(row.cacheWriteTokens),
    costNanoUsd: BigInt(row.costNanoUsd ?? 0),
  }
}
