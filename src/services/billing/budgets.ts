/**
 * Budgets: per user, per day and month (UTC), in USD and in tokens; and per connection, per month
 * and in USD, in addition to its user's.
 *
 * The statement that begins a turn reserves the worst case of its call; the statement that ends the
 * turn releases the reservation and books the actual cost. Concurrent calls of one user wait for
 * the same row locks, so together they cannot overspend. The arithmetic under those locks is in SQL
 * (repositories/turns/start-turns.ts); its inputs and the messages about it are here.
 */

import type { UnitPrices } from '../../claude/prices/prices.ts'
import { AppError } from '../../errors.ts'
import type {
  BudgetPeriod,
  Limit,
  LimitSet,
  Spending,
  StoredLimit,
} from '../../repositories/billing/budgets.ts'
import { nextStart, periodsAt } from '../../repositories/billing/periods.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { UsedShares } from '../../repositories/turns/finish-turns-statement.ts'
import type { TurnContext } from '../../repositories/turns/load-turn-context.ts'
import type { WorstCaseCost } from '../../repositories/turns/start-turns.ts'
import type { Limited } from '../../repositories/turns/start-turns-statement.ts'

export type { Limit }
export type Limits = Record<BudgetPeriod, Limit>

/** What a call may use at most. */
export type WorstCase = {
  inputTokens: number
  maxTokens: number
  /** The highest prices that may apply; null when the model's price is unknown. */
  unitPrices: UnitPrices | null
}

type Deps = { defaults: Limits; unpricedModels: 'refuse' | 'allow' }

/** A shorter answer is not worth the cost of its input, so the call is refused instead. */
const MIN_USEFUL_TOKENS = 256
/** The caller is warned from this share of a limit on. */
export const WARN_FROM_PERCENT = 75
const PERIODS: readonly BudgetPeriod[] = ['day', 'month']

export class Budgets {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Every limit that applies to a call. */
  limitsOf({ limits, connection }: Pick<TurnContext, 'limits' | 'connection'>): LimitSet {
    const cap = connection?.limitNanoUsd ?? null
    return {
      ...effectiveLimits(this.#deps.defaults, limits),
      connectionNanoUsd: cap === null ? null : BigInt(cap),
    }
  }

  /**
   * The cost of the worst case, with the input at the highest rate that may apply.
   *
   * @param isWhole whether to refuse the call rather than lower its output.
   * @throws AppError model_price_unknown under a limit in USD.
   */
  costOf({ unitPrices, ...worst }: WorstCase, limits: LimitSet, isWhole = false): WorstCaseCost {
    const leastTokens = isWhole ? worst.maxTokens : Math.min(MIN_USEFUL_TOKENS, worst.maxTokens)
    if (unitPrices === null) {
      if (this.#deps.unpricedModels === 'refuse') refuseUnpriced(limits)
      return { ...worst, leastTokens, inputNanoUsd: 0n, outputNanoUsd: null }
    }
    const inputPrice = Math.max(unitPrices.input, unitPrices.cacheWrite5m)
    const inputNanoUsd = BigInt(worst.inputTokens) * BigInt(inputPrice)
    return { ...worst, leastTokens, inputNanoUsd, outputNanoUsd: unitPrices.output }
  }

  async sources({ budgets }: Pick<Repositories, 'budgets'>, userId: string) {
    const stored = await budgets.listLimits(userId)
    const of = (period: BudgetPeriod) => sourceOf(period, this.#deps.defaults, stored)
    return { day: of('day'), month: of('month') } satisfies Record<BudgetPeriod, LimitSource>
  }

  /** Limit, spent, reserved and remaining of both periods. */
  async status({ budgets }: Pick<Repositories, 'budgets'>, userId: string, now: Date) {
    const limits = effectiveLimits(this.#deps.defaults, await budgets.listLimits(userId))
    const spending = await budgets.findSpending(userId, periodsAt(now))
    return PERIODS.map((period) => {
      const { spent, reserved } = totals(spending, period)
      const limit = limits[period]
      return { period, limit, spent, reserved, resetsAt: nextStart(period, now) }
    })
  }
}

/** Where a user's limit of a period comes from. */
export type LimitSource = {
  /** The admin's limit for this user, or else the gateway's default. */
  given: Limit
  givenBy: 'admin' | 'default'
  /** The cap that the user set; null: none. */
  own: Limit | null
}

/** No limits: for turns that are closed without an answer that could carry a warning. */
export const UNLIMITED: LimitSet = {
  day: { nanoUsd: null, tokens: null },
  month: { nanoUsd: null, tokens: null },
  connectionNanoUsd: null,
}

/** Whether any limit applies to a call. */
export function isLimited({ day, month, connectionNanoUsd }: LimitSet): boolean {
  const all = [day.nanoUsd, day.tokens, month.nanoUsd, month.tokens, connectionNanoUsd]
  return all.some((limit) => limit !== null)
}

/** An admin's limit replaces the default; the user's own applies where it is lower. */
export function effectiveLimits(defaults: Limits, stored: readonly StoredLimit[]): Limits {
  const limitOf = (period: BudgetPeriod): Limit => {
    const { given, own } = sourceOf(period, defaults, stored)
    return own ? lower(given, own) : given
  }
  return { day: limitOf('day'), month: limitOf('month') }
}

function sourceOf(
  period: BudgetPeriod,
  defaults: Limits,
  stored: readonly StoredLimit[],
): LimitSource {
  const find = (setBy: StoredLimit['setBy']) =>
    stored.find((limit) => limit.period === period && limit.setBy === setBy)
  const [admin, own] = [find('admin'), find('user')]
  return {
    given: admin ? fromStored(admin) : defaults[period],
    givenBy: admin ? 'admin' : 'default',
    own: own ? fromStored(own) : null,
  }
}

const fromStored = ({ limitNanoUsd, limitTokens }: StoredLimit): Limit => ({
  nanoUsd: limitNanoUsd === null ? null : BigInt(limitNanoUsd),
  tokens: limitTokens === null ? null : Number(limitTokens),
})

const lower = (a: Limit, b: Limit): Limit => ({
  nanoUsd: smaller(a.nanoUsd, b.nanoUsd),
  tokens: smaller(a.tokens, b.tokens),
})

function smaller<T extends bigint | number>(a: T | null, b: T | null): T | null {
  if (a === null || b === null) return a ?? b
  return a < b ? a : b
}

function totals(spending: readonly Spending[], period: BudgetPeriod) {
  const row = spending.find((candidate) => candidate.period === period)
  return {
    spent: { nanoUsd: BigInt(row?.spentNanoUsd ?? 0), tokens: Number(row?.spentTokens ?? 0) },
    reserved: {
      nanoUsd: BigInt(row?.reservedNanoUsd ?? 0),
      tokens: Number(row?.reservedTokens ?? 0),
    },
  }
}

function refuseUnpriced({ day, month, connectionNanoUsd }: LimitSet): void {
  if ([day.nanoUsd, month.nanoUsd, connectionNanoUsd].every((limit) => limit === null)) return
  throw new AppError(
    'model_price_unknown',
    'The price of this model is not known, so your budget in USD cannot be kept. Use another model, or ask the operator to add the price.',
  )
}

export function budgetExceeded({ period, by }: Limited, now: Date): AppError {
  const resetsAt = nextStart(period, now)
  const resets_at = resetsAt.toISOString()
  const message =
    by === 'connection'
      ? `This call does not fit into what is left of this connection's own cap for this ${period}. It starts anew at ${resets_at}; its user can set another by connecting again.`
      : `This call does not fit into what is left of your budget for this ${period}. It starts anew at ${resets_at}.`
  return new AppError('budget_exceeded', message, {
    retryAfterSeconds: Math.ceil((resetsAt.getTime() - now.getTime()) / 1000),
    details: { period, resets_at, ...(by === 'connection' ? { limited_by: by } : {}) },
  })
}

export function loweredWarning(from: number, to: number, { connectionNanoUsd }: LimitSet): string {
  const whose = connectionNanoUsd === null ? 'your budget' : "your budget or this connection's cap"
  return `max_tokens was lowered from ${from} to ${to}: more does not fit into what is left of ${whose}.`
}

/** Warnings for the caller, from 75 % of a limit on. */
export function usedWarnings(used: UsedShares): string[] {
  const { day, month, connection } = used
  return [
    day !== undefined && `You have used ${day} % of your budget for this day.`,
    month !== undefined && `You have used ${month} % of your budget for this month.`,
    connection !== undefined &&
      `This connection has used ${connection} % of its cap for this month.`,
  ].filter((warning) => warning !== false)
}
