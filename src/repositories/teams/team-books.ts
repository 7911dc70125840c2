/**
 * Every limit that teams set to one user, and what is booked on it: for those who ask, not for calls,
 * which team-purses.ts serves.
 */

import { type Kysely, sql } from 'kysely'
import type { RequestedBook, Schema } from '../../database/schema.ts'
import {
  type BudgetPeriod,
  type PayingPeriods,
  raisesLimit,
  type Spending,
} from '../billing/budgets.ts'
import {
  type LimitColumns,
  type MemberCap,
  type PoolLimit,
  type SpendingRow,
  toLimit,
  toSpending,
} from './team-budgets.ts'

/** A higher limit for the rest of a period. */
export type Raise = {
  book: RequestedBook
  period: BudgetPeriod
  userId: string
  nanoUsd: bigint
  /** By an admin of the installation: then it raises the installation's limit of the pool too. */
  isByInstallation: boolean
}

/** The user's view of a team. */
export type TeamBooks = {
  id: string
  name: string
  poolLimits: PoolLimit[]
  /** The user's own caps, and those of every member. */
  caps: MemberCap[]
  pool: Spending[]
  /** The user's part of the pool. */
  part: Spending[]
  raises: Raise[]
}

type Row = {
  id: string
  name: string
  poolLimits: (Pick<PoolLimit, 'period' | 'setBy'> & LimitColumns)[]
  caps: (Pick<MemberCap, 'period' | 'userId'> & LimitColumns)[]
  pool: SpendingRow[]
  part: SpendingRow[]
  raises: RaiseRow[]
}

/** 64 bits as decimal text, as JSON has them. */
export type RaiseRow = Omit<Raise, 'nanoUsd'> & { nanoUsd: string }

/** SQL for an array of RaiseRow: what raises limits of the team for this user. */
export const raisesOf = (teamId: string, userId: string) => `(
      select coalesce(json_agg(json_build_object(
        'book', r.book,
        'period', r.period,
        'userId', r.user_id,
        'nanoUsd', r.granted_nano_usd::text,
        'isByInstallation', r.decided_as = 'installation'
      )), '[]')
      from budget_requests r
      where r.team_id = ${teamId} and ${raisesLimit('r')}
        and (r.book = 'team' or r.user_id = ${userId})
    )`

export const toRaise = ({ nanoUsd, ...raise }: RaiseRow): Raise => ({
  ...raise,
  nanoUsd: BigInt(nanoUsd),
})

const limitFields = (row: string) => `
        'limitNanoUsd', ${row}.limit_nano_usd::text,
        'limitTokens', ${row}.limit_tokens::text`

const spendingOf = (table: string, isIt: string) => `(
      select coalesce(json_agg(json_build_object(
        'period', s.period,
        'startsOn', to_char(s.starts_on, 'YYYY-MM-DD'),
        'spentNanoUsd', s.spent_nano_usd::text,
        'spentTokens', s.spent_tokens::text,
        'reservedNanoUsd', s.reserved_nano_usd::text,
        'reservedTokens', s.reserved_tokens::text
      )), '[]')
      from ${table} s
      where ${isIt}
        and ((s.period = 'day' and s.starts_on = p.day)
          or (s.period = 'month' and s.starts_on = p.month))
    )`

export class TeamBookRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Of the user's teams that are in use, by name. @param teamId of one of them only. */
  async list(
    userId: string,
    { day, month }: PayingPeriods,
    teamId: string | null = null,
  ): Promise<TeamBooks[]> {
    const { rows } = await sql<Row>`
    select t.id, t.name,
      (
        select coalesce(json_agg(json_build_object(
          'period', b.period,
          'setBy', b.set_by,${sql.raw(limitFields('b'))}
        )), '[]')
        from team_budgets b where b.team_id = t.id
      ) as pool_limits,
      (
        select coalesce(json_agg(json_build_object(
          'period', c.period,
          'userId', c.user_id,${sql.raw(limitFields('c'))}
        )), '[]')
        from member_caps c
        where c.team_id = t.id and coalesce(c.user_id, m.user_id) = m.user_id
      ) as caps,
      ${sql.raw(spendingOf('team_spending', 's.team_id = t.id'))} as pool,
      ${sql.raw(spendingOf('member_spending', 's.team_id = t.id and s.user_id = m.user_id'))} as part,
      ${sql.raw(raisesOf('t.id', 'm.user_id'))} as raises
    from team_members m
    join teams t on t.id = m.team_id and t.archived_at is null
    cross join (select ${day}::date as day, ${month}::date as month) as p
    where m.user_id = ${userId}::uuid and (${teamId}::uuid is null or t.id = ${teamId}::uuid)
    order by t.name_key`.execute(this.#db)
    return rows.map(toTeamBooks)
  }

  /** Of a team's limits, for every member. */
  async listRaises(teamId: string): Promise<Raise[]> {
    const { rows } = await sql<{ raises: RaiseRow[] }>`
      select ${sql.raw(raisesOf('t.id', 'r.user_id'))} as raises
      from teams t where t.id = ${teamId}::uuid`.execute(this.#db)
    return (rows[0]?.raises ?? []).map(toRaise)
  }
}

const toTeamBooks = ({ id, name, poolLimits, caps, pool, part, raises }: Row): TeamBooks => ({
  id,
  name,
  poolLimits: poolLimits.map(({ period, setBy, ...limit }) => ({
    period,
    setBy,
    ...toLimit(limit),
  })),
  caps: caps.map(({ period, userId, ...limit }) => ({ period, userId, ...toLimit(limit) })),
  pool: pool.map(toSpending),
  part: part.map(toSpending),
  raises: raises.map(toRaise),
})
