import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import {
  type BudgetPeriod,
  type Limit,
  type PayingPeriods,
  type Spending,
  toBigInt,
  toText,
} from '../billing/budgets.ts'

/** Who set a limit of the pool. */
export type PoolSetBy = 'admin' | 'team'

export type PoolLimit = Limit & { period: BudgetPeriod; setBy: PoolSetBy }
/** `userId`: null for the cap of every member without one of their own. */
export type MemberCap = Limit & { period: BudgetPeriod; userId: string | null }
/** One sender's part of a pool. */
export type MemberSpending = Spending & { userId: string }

/** What a team and its members may spend with its key, and what they did. */
export class TeamBudgetRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async putPoolLimit(teamId: string, { period, setBy, nanoUsd, tokens }: PoolLimit): Promise<void> {
    const limits = { limitNanoUsd: toText(nanoUsd), limitTokens: toText(tokens) }
    await this.#db
      .insertInto('teamBudgets')
      .values({ teamId, period, setBy, ...limits })
      .onConflict((conflict) =>
        conflict
          .columns(['teamId', 'period', 'setBy'])
          .doUpdateSet({ ...limits, updatedAt: sql<Date>`now()` }),
      )
      .execute()
  }

  async deletePoolLimit(teamId: string, period: BudgetPeriod, setBy: PoolSetBy): Promise<void> {
    await this.#db
      .deleteFrom('teamBudgets')
      .where('teamId', '=', teamId)
      .where('period', '=', period)
      .where('setBy', '=', setBy)
      .execute()
  }

  /** Null as the limit removes the cap. Lock the team before. */
  async replaceCap(
    teamId: string,
    userId: string | null,
    period: BudgetPeriod,
    limit: Limit | null,
  ): Promise<void> {
    await this.#db
      .deleteFrom('memberCaps')
      .where('teamId', '=', teamId)
      .where('userId', userId === null ? 'is' : '=', userId)
      .where('period', '=', period)
      .execute()
    if (limit === null) return
    const limits = { limitNanoUsd: toText(limit.nanoUsd), limitTokens: toText(limit.tokens) }
    await this.#db
      .insertInto('memberCaps')
      .values({ teamId, userId, period, ...limits })
      .execute()
  }

  async listPoolLimits(teamId: string): Promise<PoolLimit[]> {
    const rows = await this.#db
      .selectFrom('teamBudgets')
      .select(['period', 'setBy', 'limitNanoUsd', 'limitTokens'])
      .where('teamId', '=', teamId)
      .execute()
    return rows.map(({ period, setBy, ...limits }) => ({ period, setBy, ...toLimit(limits) }))
  }

  async listCaps(teamId: string): Promise<MemberCap[]> {
    const rows = await this.#db
      .selectFrom('memberCaps')
      .select(['period', 'userId', 'limitNanoUsd', 'limitTokens'])
      .where('teamId', '=', teamId)
      .execute()
    return rows.map(({ period, userId, ...limits }) => ({ period, userId, ...toLimit(limits) }))
  }

  async findPoolSpending(teamId: string, { day, month }: PayingPeriods): Promise<Spending[]> {
    const rows = await this.#db
      .selectFrom('teamSpending')
      .selectAll()
      .where('teamId', '=', teamId)
      .where(
        sql<boolean>`(period, starts_on) in (('day', ${day}::date), ('month', ${month}::date))`,
      )
      .execute()
    return rows.map(toSpending)
  }

  /** Of every sender, also former members. */
  async listMemberSpending(
    teamId: string,
    { day, month }: PayingPeriods,
  ): Promise<MemberSpending[]> {
    const rows = await this.#db
      .selectFrom('memberSpending')
      .selectAll()
      .where('teamId', '=', teamId)
      .where(
        sql<boolean>`(period, starts_on) in (('day', ${day}::date), ('month', ${month}::date))`,
      )
      .execute()
    return rows.map((row) => ({ userId: row.userId, ...toSpending(row) }))
  }

  /** Of one sender. */
  async findMemberSpending(
    teamId: string,
    userId: string,
    { day, month }: PayingPeriods,
  ): Promise<Spending[]> {
    const rows = await this.#db
      .selectFrom('memberSpending')
      .selectAll()
      .where('teamId', '=', teamId)
      .where('userId', '=', userId)
      .where(
        sql<boolean>`(period, starts_on) in (('day', ${day}::date), ('month', ${month}::date))`,
      )
      .execute()
    return rows.map(toSpending)
  }

  /** What the pool spent on each day from the first on, in order; days without a call are left out. */
  async listDays(teamId: string, from: string): Promise<{ day: string; nanoUsd: bigint }[]> {
    const rows = await this.#db
      .selectFrom('teamSpending')
      .select(['startsOn', 'spentNanoUsd'])
      .where('teamId', '=', teamId)
      .where('period', '=', 'day')
      .where('startsOn', '>=', from)
      .orderBy('startsOn')
      .execute()
    return rows.map(({ startsOn, spentNanoUsd }) => ({
      day: startsOn,
      nanoUsd: BigInt(spentNanoUsd),
    }))
  }
}

export type LimitColumns = { limitNanoUsd: string | null; limitTokens: string | null }

export const toLimit = ({ limitNanoUsd, limitTokens }: LimitColumns): Limit => ({
  nanoUsd: toBigInt(limitNanoUsd),
  tokens: limitTokens === null ? null : Number(limitTokens),
})

export type SpendingRow = {
  period: BudgetPeriod
  startsOn: string
  spentNanoUsd: string
  spentTokens: string
  reservedNanoUsd: string
  reservedTokens: string
}

export const toSpending = (row: SpendingRow): Spending => ({
  period: row.period,
  startsOn: row.startsOn,
  spent: { nanoUsd: BigInt(row.spentNanoUsd), tokens: Number(row.spentTokens) },
  reserved: { nanoUsd: BigInt(row.reservedNanoUsd), tokens: Number(row.reservedTokens) },
})
