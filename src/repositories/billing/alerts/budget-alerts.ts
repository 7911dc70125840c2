import { type Kysely, sql } from 'kysely'
import type { BudgetAlertsTable, Schema } from '../../../database/schema.ts'
import { type BudgetPeriod, type Limit, type PayingPeriods, toBigInt, toText } from '../budgets.ts'

export type BookKind = BudgetAlertsTable['bookKind']

/**
 * `bookId`: a user, a team (also of a member's part of its budget), or a session. `userId`: whose
 * book it is, or who was stopped; null: of the team alone.
 */
export type BudgetAlert = {
  bookKind: BookKind
  bookId: string
  userId: string | null
  period: BudgetPeriod
  /** First day of the period, YYYY-MM-DD. */
  startsOn: string
  /** Percent of the limit; 0: a call was stopped. */
  threshold: number
  limit: Limit
  spent: { nanoUsd: bigint; tokens: number }
  firedAt: Date
}

export type BudgetStop = Pick<
  BudgetAlert,
  'bookKind' | 'bookId' | 'period' | 'startsOn' | 'limit'
> & {
  userId: string
}

/** Shares of limits that were reached. Most are written by settlements (alert-sql.ts). */
export class BudgetAlertRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Notes that a call of the user was stopped by this book, once in its period. */
  async insertStop(stop: BudgetStop): Promise<void> {
    const { bookKind, bookId, userId, period, startsOn, limit } = stop
    const book = sql.raw(SPENT[bookKind])
    await sql`
      with k as (
        select ${bookKind}::text as book_kind, ${bookId}::uuid as book_id, ${userId}::uuid as user_id,
          ${period}::text as period, ${startsOn}::date as starts_on
      )
      insert into budget_alerts (book_kind, book_id, user_id, period, starts_on, threshold,
        limit_nano_usd, limit_tokens, spent_nano_usd, spent_tokens)
      select k.book_kind, k.book_id, k.user_id, k.period, k.starts_on, 0,
        ${toText(limit.nanoUsd)}::bigint, ${toText(limit.tokens)}::bigint,
        coalesce(b.spent_nano_usd, 0), coalesce(b.spent_tokens, 0)
      from k left join lateral (${book}) as b on true
      on conflict do nothing`.execute(this.#db)
  }

  /** Those of a user's own books and of their parts of teams' budgets, in these periods. */
  async listOfUser(userId: string, periods: PayingPeriods): Promise<BudgetAlert[]> {
    return this.#list(sql`user_id = ${userId}::uuid`, periods)
  }

  /** Those of a team's pool and of its members' parts, in these periods. */
  async listOfTeam(teamId: string, periods: PayingPeriods): Promise<BudgetAlert[]> {
    return this.#list(sql`book_kind in ('team', 'member') and book_id = ${teamId}::uuid`, periods)
  }

  /** Marks some of those that are not queued yet, and skips what another replica has in hand. */
  async takeUntold(limit: number): Promise<BudgetAlert[]> {
    const { rows } = await sql<Row>`
      with untold as (
        select ${KEY} from budget_alerts where told_at is null
        order by fired_at limit ${limit} for update skip locked
      )
      update budget_alerts a set told_at = now() from untold k
      where (${KEY_OF_A}) = (${KEY_OF_K})
      returning ${COLUMNS_OF_A}`.execute(this.#db)
    return rows.map(toAlert)
  }

  /** Those of periods that ended a while ago. */
  async deleteOld(): Promise<void> {
    await sql`delete from budget_alerts where starts_on < current_date - ${KEPT_DAYS}::integer`.execute(
      this.#db,
    )
  }

  async #list(
    whose: ReturnType<typeof sql>,
    { day, month }: PayingPeriods,
  ): Promise<BudgetAlert[]> {
    const { rows } = await sql<Row>`
      select ${COLUMNS_OF_A} from budget_alerts a
      where ${whose}
        and (period = 'day' and starts_on = ${day}::date
          or period = 'month' and starts_on = ${month}::date)
      order by fired_at desc, threshold desc
      limit ${MOST_LISTED}`.execute(this.#db)
    return rows.map(toAlert)
  }
}

const KEPT_DAYS = 62
const MOST_LISTED = 100

/** What a book holds, of the row `k` that names it. */
const SPENT: Record<BookKind, string> = {
  user: `select spent_nano_usd, spent_tokens from spending s
    where s.user_id = k.book_id and s.period = k.period and s.starts_on = k.starts_on`,
  team: `select spent_nano_usd, spent_tokens from team_spending s
    where s.team_id = k.book_id and s.period = k.period and s.starts_on = k.starts_on`,
  member: `select spent_nano_usd, spent_tokens from member_spending s
    where s.team_id = k.book_id and s.user_id = k.user_id and s.period = k.period
      and s.starts_on = k.starts_on`,
  connection: `select spent_nano_usd, 0::bigint as spent_tokens from connection_spending s
    where s.session_id = k.book_id and s.starts_on = k.starts_on`,
}

const KEYS = ['book_kind', 'book_id', 'user_id', 'period', 'starts_on', 'threshold']
const KEY = sql.raw(KEYS.join(', '))
const KEY_OF_A = sql.raw(KEYS.map((key) => `a.${key}`).join(', '))
const KEY_OF_K = sql.raw(KEYS.map((key) => `k.${key}`).join(', '))
const COLUMNS_OF_A = sql.raw(`a.book_kind, a.book_id,
  nullif(a.user_id, '00000000-0000-0000-0000-000000000000') as user_id, a.period,
  to_char(a.starts_on, 'YYYY-MM-DD') as starts_on, a.threshold, a.limit_nano_usd, a.limit_tokens,
  a.spent_nano_usd, a.spent_tokens, a.fired_at`)

type Row = Omit<BudgetAlert, 'limit' | 'spent'> & {
  limitNanoUsd: string | null
  limitTokens: string | null
  spentNanoUsd: string
  spentTokens: string
}

const toAlert = ({ limitNanoUsd, limitTokens, spentNanoUsd, spentTokens, ...row }: Row) => ({
  ...row,
  limit: {
    nanoUsd: toBigInt(limitNanoUsd),
    tokens: limitTokens === null ? null : Number(limitTokens),
  },
  spent: { nanoUsd: BigInt(spentNanoUsd), tokens: Number(spentTokens) },
})
