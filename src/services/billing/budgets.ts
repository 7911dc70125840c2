/**
 * Budgets: per user, per day and month (UTC), in USD and in tokens; and per connection, per month
 * and in USD, in addition to its user's.
 *
 * Before a call its worst case is reserved; the statement that ends the call releases the
 * reservation and books the actual cost. Concurrent calls of one user wait for the same row locks,
 * so together they cannot overspend. The arithmetic under those locks is in SQL
 * (repositories/billing/reservation-sql.ts); its inputs and the messages about it are here.
 */

import type { UnitPrices } from '../../claude/prices/prices.ts'
import { AppError } from '../../errors.ts'
import type { SessionKind } from '../../repositories/access/sessions.ts'
import type {
  BudgetPeriod,
  Covers,
  Limit,
  LimitSet,
  StoredLimit,
  TeamLimits,
  UserSpending,
} from '../../repositories/billing/budgets.ts'
import { nextStart, periodsAt } from '../../repositories/billing/periods.ts'
import type {
  Limited,
  UsedShares,
  WorstCaseCost,
} from '../../repositories/billing/reservation-values.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { TurnContext } from '../../repositories/turns/load-turn-context.ts'
import { type Book, bookedIn, isStricter } from './books/book.ts'
import { isLimit, lower, NO_LIMIT, raisedBy } from './books/limit.ts'

export type { Limit }
export type Limits = Record<BudgetPeriod, Limit>

/** What a call may use at most. */
export type WorstCase = {
  inputTokens: number
  maxTokens: number
  /** The highest prices that may apply; null when the model's price is unknown. */
  unitPrices: UnitPrices | null
  /** Whether some of the input may be cached for an hour, which costs more than for 5 minutes. */
  cachesFor1h?: boolean
  /** What it may cost besides tokens, such as web searches. */
  otherNanoUsd?: bigint
  /** With less room the call is refused. Default: 256, or `maxTokens` if that is less. */
  leastTokens?: number
}

type Deps = { defaults: Limits; unpricedModels: 'refuse' | 'allow' }

/** A shorter answer is not worth the cost of its input, so the call is refused instead. */
const MIN_USEFUL_TOKENS = 256
/** The caller is warned from this share of a limit on. */
export const WARN_FROM_PERCENT = 75
export const PERIODS: readonly BudgetPeriod[] = ['day', 'month']

export class Budgets {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Every limit that applies to a call.
   *
   * @param team limits of the team that pays: then of the user's own those apply that cover
   *   everything.
   */
  limitsOf(
    { limits, connection }: Pick<TurnContext, 'limits' | 'connection'>,
    team?: TeamLimits,
  ): LimitSet {
    const connectionNanoUsd = connection?.limitNanoUsd ?? null
    const { ownKey, everything } = effectiveLimits(this.#deps.defaults, limits)
    if (team) return { ...UNLIMITED, connectionNanoUsd, everything, team }
    return { ...ownKey, connectionNanoUsd, everything }
  }

  /**
   * The cost of the worst case, with the input at the highest rate that may apply.
   *
   * @param isWhole whether to refuse the call rather than lower its output.
   * @throws AppError model_price_unknown under a limit in USD.
   */
  costOf(asked: WorstCase, limits: LimitSet, isWhole = false): WorstCaseCost {
    const { unitPrices, inputTokens, maxTokens, otherNanoUsd = 0n } = asked
    const least = Math.min(asked.leastTokens ?? MIN_USEFUL_TOKENS, maxTokens)
    const worst = { inputTokens, maxTokens, leastTokens: isWhole ? maxTokens : least }
    if (unitPrices === null) {
      if (this.#deps.unpricedModels === 'refuse') refuseUnpriced(limits)
      return { ...worst, inputNanoUsd: otherNanoUsd, outputNanoUsd: null }
    }
    const { input, cacheWrite5m, cacheWrite1h, output } = unitPrices
    const inputPrice = Math.max(input, cacheWrite5m, asked.cachesFor1h ? cacheWrite1h : 0)
    const inputNanoUsd = BigInt(inputTokens) * BigInt(inputPrice) + otherNanoUsd
    return { ...worst, inputNanoUsd, outputNanoUsd: output }
  }

  async sources({ budgets }: Pick<Repositories, 'budgets'>, userId: string) {
    const stored = await budgets.listLimits(userId)
    const of = (period: BudgetPeriod) => sourceOf(period, this.#deps.defaults, stored)
    return { day: of('day'), month: of('month') } satisfies Record<BudgetPeriod, LimitSource>
  }

  /**
   * Limit, spent, reserved and remaining of both periods. Where there are limits of what the user's
   * own key pays and of everything, the one that leaves less.
   */
  async status({ budgets }: Pick<Repositories, 'budgets'>, userId: string, now: Date) {
    const limits = effectiveLimits(this.#deps.defaults, await budgets.listLimits(userId))
    const spending = await budgets.findSpending(userId, periodsAt(now))
    return PERIODS.map((period) => {
      const resetsAt = nextStart(period, now)
      const of = (covers: Covers, limit: Limit) => ({
        ...{ period, covers, limit, ...bookedIn(period, covers, spending), resetsAt },
      })
      const ownKey = of('own_key', limits.ownKey[period])
      const everything = of('everything', limits.everything[period])
      return isStricter(everything, ownKey) ? everything : ownKey
    })
  }

  /** The user's own books: what was given to them, and their own caps. */
  books(stored: readonly StoredLimit[], spending: readonly UserSpending[], now: Date): Book[] {
    return PERIODS.flatMap((period) => {
      const { given, givenBy, givenCovers, own, ownCovers } = sourceOf(
        period,
        this.#deps.defaults,
        stored,
      )
      const of = (setBy: Book['setBy'], covers: Covers, limit: Limit): Book => ({
        ...{ kind: 'own', team: null, period, covers, setBy, limit },
        ...{ ...bookedIn(period, covers, spending), resetsAt: nextStart(period, now) },
      })
      const books = [of(givenBy, givenCovers, given), of('user', ownCovers, own ?? NO_LIMIT)]
      return books.filter(({ limit }) => isLimit(limit))
    })
  }
}

/** Where a user's limit of a period comes from. */
export type LimitSource = {
  /** The admin's limit for this user, or else the gateway's default. */
  given: Limit
  givenBy: 'admin' | 'default'
  givenCovers: Covers
  /** The cap that the user set; null: none. */
  own: Limit | null
  ownCovers: Covers
}

/** No limits. */
export const UNLIMITED: LimitSet = {
  day: { nanoUsd: null, tokens: null },
  month: { nanoUsd: null, tokens: null },
  connectionNanoUsd: null,
}

/** Whether any limit applies to a call. */
export function isLimited(limits: LimitSet): boolean {
  const inTokens = periodLimits(limits).map(({ tokens }) => tokens)
  return inTokens.some((limit) => limit !== null) || isLimitedInUsd(limits)
}

const isLimitedInUsd = (limits: LimitSet) =>
  limits.connectionNanoUsd !== null || periodLimits(limits).some(({ nanoUsd }) => nanoUsd !== null)

function periodLimits({ day, month, everything, team }: LimitSet): Limit[] {
  const others = [everything, team?.pool, team?.member].filter((one) => one !== undefined)
  return [day, month, ...others.flatMap((one) => [one.day, one.month])]
}

/** An admin's limit replaces the default; the user's own applies where it is lower. */
export function effectiveLimits(
  defaults: Limits,
  stored: readonly StoredLimit[],
): { ownKey: Limits; everything: Limits } {
  const limitOf = (period: BudgetPeriod, covers: Covers): Limit => {
    const { given, givenCovers, own, ownCovers } = sourceOf(period, defaults, stored)
    return lower(
      givenCovers === covers ? given : NO_LIMIT,
      own !== null && ownCovers === covers ? own : NO_LIMIT,
    )
  }
  const limitsOf = (covers: Covers): Limits => ({
    day: limitOf('day', covers),
    month: limitOf('month', covers),
  })
  return { ownKey: limitsOf('own_key'), everything: limitsOf('everything') }
}

function sourceOf(
  period: BudgetPeriod,
  defaults: Limits,
  stored: readonly StoredLimit[],
): LimitSource {
  const find = (setBy: StoredLimit['setBy']) =>
    stored.find((limit) => limit.period === period && limit.setBy === setBy)
  const [admin, own] = [find('admin'), find('user')]
  const raises = stored.filter((limit) => limit.period === period && limit.setBy === 'raise')
  const granted = raises.flatMap(({ nanoUsd }) => (nanoUsd === null ? [] : [nanoUsd]))
  return {
    given: raisedBy(admin ? toLimit(admin) : defaults[period], granted),
    givenBy: admin ? 'admin' : 'default',
    givenCovers: admin?.covers ?? 'own_key',
    own: own ? toLimit(own) : null,
    ownCovers: own?.covers ?? 'own_key',
  }
}

const toLimit = ({ nanoUsd, tokens }: StoredLimit): Limit => ({ nanoUsd, tokens })

function refuseUnpriced(limits: LimitSet): void {
  if (!isLimitedInUsd(limits)) return
  throw new AppError(
    'model_price_unknown',
    'The price of this model is not known, so a budget in USD cannot be kept. Use another model, or ask the operator to add the price.',
  )
}

/** Who can let the caller spend more: the user, by their own limit, or those named in `ask`. */
type Raisable = { isOwn?: boolean; ask?: readonly string[] }

/** @param kind of the session that asked, whose own limit it may have been. */
export function budgetExceeded(
  { period, by }: Limited,
  now: Date,
  kind: SessionKind = 'connection',
  { isOwn = false, ask = [] }: Raisable = {},
): AppError {
  const resetsAt = nextStart(period, now)
  const resets_at = resetsAt.toISOString()
  const capped = by === 'connection' ? (kind === 'connection' ? 'connection' : 'token') : undefined
  const what = capped ? `this ${capped}'s own cap` : isOwn ? 'your own limit' : 'your budget'
  const said = `This call does not fit into what is left of ${what} for this ${period}. It resets at ${resets_at}`
  const wayOut = capped ? both(`; ${OTHER_CAP[capped]}.`) : wayOutOf({ isOwn, ask })
  return new AppError('budget_exceeded', `${said}${wayOut.inTools}`, {
    onPages: `${said}${wayOut.onPages}`,
    retryAfterSeconds: Math.ceil((resetsAt.getTime() - now.getTime()) / 1000),
    details: {
      period,
      resets_at,
      ...(capped && { limited_by: capped }),
      ...(ask.length > 0 && { ask, raise_with: 'request_budget' }),
    },
  })
}

function wayOutOf({ isOwn, ask }: Required<Raisable>): { inTools: string; onPages: string } {
  if (isOwn) return { inTools: '; set_budget changes it.', onPages: '; the page Usage changes it.' }
  if (ask.length === 0) return both('.')
  const names = `. ${ask.join(', ')} can raise it until then`
  return {
    inTools: `${names}: ask with request_budget.`,
    onPages: `${names}: ask at /account/requests.`,
  }
}

const both = (words: string) => ({ inTools: words, onPages: words })

const OTHER_CAP = {
  connection: 'its user can set another by connecting again',
  token: 'its user can make a token with another',
}

export function loweredWarning(
  from: number,
  to: number,
  { connectionNanoUsd, everything, team }: LimitSet,
): string {
  const own = everything && (isLimit(everything.day) || isLimit(everything.month))
  const ofTeam = "the team's budget or your part of it"
  const budget = team ? `${ofTeam}${own ? ' or your own limit' : ''}` : 'your budget'
  const whose = connectionNanoUsd === null ? budget : `${budget} or this connection's cap`
  return `max_tokens was lowered from ${from} to ${to}: more does not fit into what is left of ${whose}.`
}

/** Warnings for the caller, from 75 % of a limit on. */
export function usedWarnings(used: UsedShares): string[] {
  const { day, month, connection } = used
  const ofTeam = TEAM_BOOKS.map(
    ([book, what]) => used[book] !== undefined && `${what.replace('%', `${used[book]} %`)}.`,
  )
  return [
    day !== undefined && `You have used ${day} % of your budget for this day.`,
    month !== undefined && `You have used ${month} % of your budget for this month.`,
    connection !== undefined &&
      `This connection has used ${connection} % of its cap for this month.`,
    ...ofTeam,
  ].filter((warning) => warning !== false)
}

const TEAM_BOOKS = [
  ['team_day', 'Your team has used % of its budget for this day'],
  ['team_month', 'Your team has used % of its budget for this month'],
  ['member_day', "You have used % of your part of the team's budget for this day"],
  ['member_month', "You have used % of your part of the team's budget for this month"],
] as const
