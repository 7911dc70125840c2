import { type Kysely, sql } from 'kysely'
import type { BudgetPeriod, Schema, StoredReservation } from '../../database/schema.ts'

export type { BudgetPeriod, StoredReservation }

export type StoredLimit = {
  period: BudgetPeriod
  setBy: 'admin' | 'user'
  limitNanoUsd: string | null
  limitTokens: string | null
}

/** One user's spending and reservations in one period; decimal text, since it is 64 bits wide. */
export type Spending = {
  period: BudgetPeriod
  startsOn: string
  spentNanoUsd: string
  spentTokens: string
  reservedNanoUsd: string
  reservedTokens: string
}

/** Null: no limit. */
export type Limit = { nanoUsd: bigint | null; tokens: number | null }
/** Every limit that applies to one call. */
export type LimitSet = Record<BudgetPeriod, Limit> & {
  /** Monthly, of the connection that asks. */
  connectionNanoUsd: bigint | null
}

export type Amount = { nanoUsd: bigint; tokens: number }
/** First days (YYYY-MM-DD, UTC) of the day and month to which a call is charged. */
export type PayingPeriods = { day: string; month: string }

export class BudgetRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async listLimits(userId: string): Promise<StoredLimit[]> {
    return this.#db
      .selectFrom('budgets')
      .select(['period', 'setBy', 'limitNanoUsd', 'limitTokens'])
      .where('userId', '=', userId)
      .execute()
  }

  async putLimit(userId: string, limit: StoredLimit): Promise<void> {
    const { limitNanoUsd, limitTokens } = limit
    await this.#db
      .insertInto('budgets')
      .values({ userId, ...limit })
      .onConflict((conflict) =>
        conflict
          .columns(['userId', 'period', 'setBy'])
          .doUpdateSet({ limitNanoUsd, limitTokens, updatedAt: sql<Date>`now()` }),
      )
      .execute()
  }

  async deleteLimit(userId: string, period: BudgetPeriod, setBy: 'admin' | 'user'): Promise<void> {
    await this.#db
      .deleteFrom('budgets')
      .where('userId', '=', userId)
      .where('period', '=', period)
      .where('setBy', '=', setBy)
      .execute()
  }

  async findSpending(userId: string, { day, month }: PayingPeriods): Promise<Spending[]> {
    return this.#db
      .selectFrom('spending')
      .select([...SPENDING_COLUMNS])
      .where('userId', '=', userId)
      .where((where) =>
        where.or([
          where.and({ period: 'day', startsOn: day }),
          where.and({ period: 'month', startsOn: month }),
        ]),
      )
      .execute()
  }
}

const SPENDING_COLUMNS = [
  'spending.period',
  'spending.startsOn',
  'spending.spentNanoUsd',
  'spending.spentTokens',
  'spending.reservedNanoUsd',
  'spending.reservedTokens',
] as const
