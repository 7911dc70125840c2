import { type Kysely, sql } from 'kysely'
import type { BudgetPeriod, Schema, StoredReservation } from '../database/schema.ts'

export type { BudgetPeriod, StoredReservation }

export type StoredLimit = {
  period: BudgetPeriod
  setBy: 'admin' | 'user'
  limitNanoUsd: string | null
  limitTokens: string | null
}

/** What one user spent and reserved in one period; decimal text, since it is 64 bits wide. */
export type Spending = {
  period: BudgetPeriod
  startsOn: string
  spentNanoUsd: string
  spentTokens: string
  reservedNanoUsd: string
  reservedTokens: string
}

export type Amount = { nanoUsd: bigint; tokens: number }
/** First days (YYYY-MM-DD, UTC) of the day and the month that pay. */
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

  /**
   * Adds to what is reserved in both periods, in one statement, and says what that makes.
   *
   * Competing reservations of one user queue on the rows: each sees all that were made before
   * it. Give a negative amount to reduce a reservation made in the same transaction.
   */
  async reserve(userId: string, periods: PayingPeriods, amount: Amount): Promise<Spending[]> {
    return this.#add(userId, periods, amount, { nanoUsd: 0n, tokens: 0 })
  }

  /** Turns a reservation into what was really spent. @returns both periods afterwards. */
  async settle(
    userId: string,
    periods: PayingPeriods,
    reserved: Amount,
    spent: Amount,
  ): Promise<Spending[]> {
    const released = { nanoUsd: -reserved.nanoUsd, tokens: -reserved.tokens }
    return this.#add(userId, periods, released, spent)
  }

  /**
   * One statement for every change, because it locks the day before the month: an update would
   * lock the two in whatever order it finds them, and two transactions could wait for each other.
   */
  async #add(
    userId: string,
    periods: PayingPeriods,
    reserved: Amount,
    spent: Amount,
  ): Promise<Spending[]> {
    const amounts = {
      reservedNanoUsd: String(reserved.nanoUsd),
      reservedTokens: String(reserved.tokens),
      spentNanoUsd: String(spent.nanoUsd),
      spentTokens: String(spent.tokens),
    }
    return this.#db
      .insertInto('spending')
      .values([
        { userId, period: 'day', startsOn: periods.day, ...amounts },
        { userId, period: 'month', startsOn: periods.month, ...amounts },
      ])
      .onConflict((conflict) =>
        conflict.columns(['userId', 'period', 'startsOn']).doUpdateSet((set) => ({
          reservedNanoUsd: set(
            'spending.reservedNanoUsd',
            '+',
            set.ref('excluded.reservedNanoUsd'),
          ),
          reservedTokens: set('spending.reservedTokens', '+', set.ref('excluded.reservedTokens')),
          spentNanoUsd: set('spending.spentNanoUsd', '+', set.ref('excluded.spentNanoUsd')),
          spentTokens: set('spending.spentTokens', '+', set.ref('excluded.spentTokens')),
        })),
      )
      .returning([...SPENDING_COLUMNS])
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
