/**
 * Budgets: per user, per day and month (UTC), in USD and in tokens.
 *
 * The worst case of a call is reserved before it, in the transaction that begins its turn; the
 * settlement releases it and books the truth in the transaction that ends the turn. Concurrent
 * calls of one user queue on the same rows, so no number of them overspends.
 */

import type { UnitPrices } from '../claude/prices.ts'
import { AppError } from '../errors.ts'
import type {
  Amount,
  BudgetPeriod,
  PayingPeriods,
  Spending,
  StoredLimit,
  StoredReservation,
} from '../repositories/budgets.ts'
import type { Repositories } from '../repositories/index.ts'
import { nextStart, periodsAt } from './budget-periods.ts'

/** Null: no limit. */
export type Limit = { nanoUsd: bigint | null; tokens: number | null }
export type Limits = Record<BudgetPeriod, Limit>

/** What a call may cost at most. */
export type WorstCase = {
  inputTokens: number
  likelyInputTokens: number
  maxTokens: number
  /** Null when the model's price is not known. */
  unitPrices: UnitPrices | null
}

export type Reserved = { reservation: StoredReservation; maxTokens: number; warnings: string[] }

type Deps = { defaults: Limits; unpricedModels: 'refuse' | 'allow' }

/** An answer shorter than this is not worth its input: then the call is refused instead. */
const MIN_USEFUL_TOKENS = 256
const WARN_AT_PERCENT = [95, 75]
const PERIODS: readonly BudgetPeriod[] = ['day', 'month']

export class Budgets {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Reserves the worst case, or, if only that does not fit, as long an answer as does.
   *
   * @throws AppError budget_exceeded (with resets_at) or model_price_unknown; the caller's
   *   transaction must then roll back.
   */
  async reserve(
    { budgets }: Pick<Repositories, 'budgets'>,
    userId: string,
    worst: WorstCase,
    now: Date,
  ): Promise<Reserved> {
    const limits = effectiveLimits(this.#deps.defaults, await budgets.listLimits(userId))
    if (worst.unitPrices === null && this.#deps.unpricedModels === 'refuse') refuseUnpriced(limits)
    const periods = periodsAt(now)
    const wanted = amountOf(worst, worst.maxTokens)
    const after = await budgets.reserve(userId, periods, wanted)
    const roomIn = (period: BudgetPeriod) =>
      fittingTokens(limits[period], before(after, period, wanted), worst)
    const room = { day: roomIn('day'), month: roomIn('month') }
    const maxTokens = Math.min(room.day, room.month)
    if (maxTokens >= worst.maxTokens) return toReserved(periods, worst, worst.maxTokens, [])
    const least = Math.min(MIN_USEFUL_TOKENS, worst.maxTokens)
    // The later reset wins: when the month is used up, tomorrow does not help.
    if (maxTokens < least) throw exceeded(room.month < least ? 'month' : 'day', now)
    const reduced = amountOf(worst, maxTokens)
    await budgets.reserve(userId, periods, {
      nanoUsd: reduced.nanoUsd - wanted.nanoUsd,
      tokens: reduced.tokens - wanted.tokens,
    })
    const warning = `max_tokens was lowered from ${worst.maxTokens} to ${maxTokens}: more does not fit into what is left of your budget.`
    return toReserved(periods, worst, maxTokens, [warning])
  }

  /** @returns warnings for whoever spent, from 75 % of a limit on. */
  async settle(
    { budgets }: Pick<Repositories, 'budgets'>,
    userId: string,
    reservation: StoredReservation,
    spent: Amount,
  ): Promise<string[]> {
    const reserved = { nanoUsd: BigInt(reservation.nanoUsd), tokens: reservation.tokens }
    const after = await budgets.settle(userId, reservation, reserved, spent)
    const limits = effectiveLimits(this.#deps.defaults, await budgets.listLimits(userId))
    return PERIODS.flatMap((period) => usageWarning(limits[period], period, after))
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

/** An admin's limit replaces the default; the user's own counts where it is lower. */
export function effectiveLimits(defaults: Limits, stored: readonly StoredLimit[]): Limits {
  const limitOf = (period: BudgetPeriod): Limit => {
    const find = (setBy: StoredLimit['setBy']) =>
      stored.find((limit) => limit.period === period && limit.setBy === setBy)
    const admin = find('admin')
    const own = find('user')
    const base = admin ? fromStored(admin) : defaults[period]
    return own ? lower(base, fromStored(own)) : base
  }
  return { day: limitOf('day'), month: limitOf('month') }
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

/** Input at the dearest rate it can be charged at, and the whole of max_tokens. */
function amountOf({ inputTokens, unitPrices }: WorstCase, maxTokens: number): Amount {
  const tokens = inputTokens + maxTokens
  if (unitPrices === null) return { nanoUsd: 0n, tokens }
  const inputPrice = Math.max(unitPrices.input, unitPrices.cacheWrite5m)
  const nanoUsd =
    BigInt(inputTokens) * BigInt(inputPrice) + BigInt(maxTokens) * BigInt(unitPrices.output)
  return { nanoUsd, tokens }
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

/** Spent and reserved together, as they were before `own` was added. */
function before(after: readonly Spending[], period: BudgetPeriod, own: Amount): Amount {
  const { spent, reserved } = totals(after, period)
  return {
    nanoUsd: spent.nanoUsd + reserved.nanoUsd - own.nanoUsd,
    tokens: spent.tokens + reserved.tokens - own.tokens,
  }
}

/** The longest answer that fits under one period's limit; below zero when not even the input does. */
function fittingTokens(limit: Limit, taken: Amount, worst: WorstCase): number {
  const byTokens =
    limit.tokens === null
      ? Number.POSITIVE_INFINITY
      : limit.tokens - taken.tokens - worst.inputTokens
  if (limit.nanoUsd === null || worst.unitPrices === null) return byTokens
  const left = limit.nanoUsd - taken.nanoUsd - amountOf(worst, 0).nanoUsd
  if (left < 0n) return -1
  if (worst.unitPrices.output === 0) return byTokens
  return Math.min(byTokens, Number(left / BigInt(worst.unitPrices.output)))
}

function toReserved(
  periods: PayingPeriods,
  worst: WorstCase,
  maxTokens: number,
  warnings: string[],
): Reserved {
  const { nanoUsd, tokens } = amountOf(worst, maxTokens)
  const { likelyInputTokens } = worst
  const reservation = { ...periods, nanoUsd: String(nanoUsd), tokens, likelyInputTokens }
  return { reservation, maxTokens, warnings }
}

function refuseUnpriced(limits: Limits): void {
  if (limits.day.nanoUsd === null && limits.month.nanoUsd === null) return
  throw new AppError(
    'model_price_unknown',
    'The price of this model is not known, so your budget in USD cannot be kept. Use another model, or ask the operator to add the price.',
  )
}

function exceeded(period: BudgetPeriod, now: Date): AppError {
  const resetsAt = nextStart(period, now)
  return new AppError(
    'budget_exceeded',
    `This call does not fit into what is left of your budget for this ${period}. It starts anew at ${resetsAt.toISOString()}.`,
    {
      retryAfterSeconds: Math.ceil((resetsAt.getTime() - now.getTime()) / 1000),
      details: { period, resets_at: resetsAt.toISOString() },
    },
  )
}

function usageWarning(limit: Limit, period: BudgetPeriod, after: readonly Spending[]): string[] {
  const { spent } = totals(after, period)
  const shares = [
    limit.nanoUsd ? Number((spent.nanoUsd * 100n) / limit.nanoUsd) : 0,
    limit.tokens ? Math.floor((spent.tokens * 100) / limit.tokens) : 0,
  ]
  const percent = Math.max(...shares)
  const isWorthSaying = WARN_AT_PERCENT.some((threshold) => percent >= threshold)
  return isWorthSaying ? [`You have used ${percent} % of your budget for this ${period}.`] : []
}
