import { type Kysely, sql } from 'kysely'
import type { BudgetPeriod, Covers, Schema, StoredReservation } from '../../database/schema.ts'

export type { BudgetPeriod, Covers }

/** What one call holds of the budgets until it is settled, for the process that settles it. */
export type Reservation = Omit<StoredReservation, 'nanoUsd'> & { nanoUsd: bigint }

/** Null: no limit. */
export type Limit = { nanoUsd: bigint | null; tokens: number | null }
/** `raise`: of what was given to the user, for now. */
export type StoredLimit = Limit & {
  period: BudgetPeriod
  setBy: 'admin' | 'user' | 'raise'
  covers: Covers
}
/** Without `covers` it stays as it was; a new limit covers what the user's own key pays. */
export type NewLimit = Limit & {
  period: BudgetPeriod
  setBy: 'admin' | 'user'
  covers?: Covers | undefined
}
/** Every limit that applies to one call. */
export type LimitSet = Record<BudgetPeriod, Limit> & {
  /** Monthly, of the session that asks: a connection, or a token with a limit. */
  connectionNanoUsd: bigint | null
  /** Of what the user spends with their own key and with the money of teams. */
  everything?: Record<BudgetPeriod, Limit>
  /** Where a team pays: then `day` and `month` are without a limit. */
  team?: TeamLimits
}

/** Of all members together, and of the one who asks. */
export type TeamLimits = {
  pool: Record<BudgetPeriod, Limit>
  member: Record<BudgetPeriod, Limit>
}

export type Amount = { nanoUsd: bigint; tokens: number }
/** One user's spending and reservations in one period. */
export type Spending = { period: BudgetPeriod; startsOn: string; spent: Amount; reserved: Amount }
/** `ofTeams`: what teams pay for what the user sends, which is no part of the rest. */
export type UserSpending = Spending & { ofTeams: Pick<Spending, 'spent' | 'reserved'> }
/** First days (YYYY-MM-DD, UTC) of the day and month to which a call is charged. */
export type PayingPeriods = { day: string; month: string }

export class BudgetRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async listLimits(userId: string): Promise<StoredLimit[]> {
    const { rows } = await sql<LimitRow>`
      select l.* from (select ${userId}::uuid as id) as u
      cross join lateral ${sql.raw(limitsOf('u.id'))} as l`.execute(this.#db)
    return rows.map(toStoredLimit)
  }

  async putLimit(
    userId: string,
    { period, setBy, nanoUsd, tokens, covers }: NewLimit,
  ): Promise<void> {
    const limits = {
      limitNanoUsd: toText(nanoUsd),
      limitTokens: toText(tokens),
      ...(covers && { covers }),
    }
    await this.#db
      .insertInto('budgets')
      .values({ userId, period, setBy, ...limits })
      .onConflict((conflict) =>
        conflict
          .columns(['userId', 'period', 'setBy'])
          .doUpdateSet({ ...limits, updatedAt: sql<Date>`now()` }),
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

  async findSpending(userId: string, { day, month }: PayingPeriods): Promise<UserSpending[]> {
    const rows = await this.#db
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
    return rows.map((row) => ({
      period: row.period,
      startsOn: row.startsOn,
      spent: { nanoUsd: BigInt(row.spentNanoUsd), tokens: Number(row.spentTokens) },
      reserved: { nanoUsd: BigInt(row.reservedNanoUsd), tokens: Number(row.reservedTokens) },
      ofTeams: {
        spent: { nanoUsd: BigInt(row.teamSpentNanoUsd), tokens: Number(row.teamSpentTokens) },
        reserved: {
          nanoUsd: BigInt(row.teamReservedNanoUsd),
          tokens: Number(row.teamReservedTokens),
        },
      },
    }))
  }

  /** Nano-USD of a session with a budget of its own, in a month. */
  async findOwnSpending(sessionId: string, month: string) {
    const row = await this.#db
      .selectFrom('connectionSpending')
      .select(['spentNanoUsd', 'reservedNanoUsd'])
      .where('sessionId', '=', sessionId)
      .where('startsOn', '=', month)
      .executeTakeFirst()
    return { spent: BigInt(row?.spentNanoUsd ?? 0), reserved: BigInt(row?.reservedNanoUsd ?? 0) }
  }
}

/** A limit as the database gives it: 64 bits as decimal text. */
export type LimitRow = Pick<StoredLimit, 'period' | 'setBy' | 'covers'> & {
  limitNanoUsd: string | null
  limitTokens: string | null
}

export const toStoredLimit = ({ limitNanoUsd, limitTokens, ...row }: LimitRow): StoredLimit => ({
  ...row,
  nanoUsd: toBigInt(limitNanoUsd),
  tokens: limitTokens === null ? null : Number(limitTokens),
})

/** SQL for whether a row of budget_requests raises a limit now. */
export const raisesLimit = (request: string) =>
  `${request}.state = 'approved' and ${request}.until > now()`

/** SQL for the limits of a user and what raises them, with the columns of a LimitRow. */
export const limitsOf = (userId: string) => `(
        select b.period, b.set_by, b.covers, b.limit_nano_usd, b.limit_tokens
        from budgets b where b.user_id = ${userId}
        union all
        select r.period, 'raise', 'own_key', r.granted_nano_usd, null
        from budget_requests r
        where r.user_id = ${userId} and r.team_id is null and ${raisesLimit('r')}
      )`

/** 64 bits travel as decimal text: JavaScript's numbers, and those of JSON, have fewer. */
export const toText = (value: bigint | number | null) => (value === null ? null : String(value))

/** SQL for whether this build can settle a stored reservation; one of a later build it cannot. */
export const isKnownReservation = (reservation: string) =>
  `coalesce((${reservation}->>'v')::integer, 1) <= 3`

export const toReservation = (stored: StoredReservation): Reservation => ({
  ...stored,
  nanoUsd: BigInt(stored.nanoUsd),
})

export const toBigInt = (text: string | null) => (text === null ? null : BigInt(text))

const SPENDING_COLUMNS = [
  'spending.period',
  'spending.startsOn',
  'spending.spentNanoUsd',
  'spending.spentTokens',
  'spending.reservedNanoUsd',
  'spending.reservedTokens',
  'spending.teamSpentNanoUsd',
  'spending.teamSpentTokens',
  'spending.teamReservedNanoUsd',
  'spending.teamReservedTokens',
] as const
