/** The values of reservation-sql.ts, and what its statements answer. */

import type { StoredTeamPayer } from '../../database/schema.ts'
import {
  type Amount,
  type BudgetPeriod,
  type Limit,
  type LimitSet,
  type PayingPeriods,
  type Reservation,
  type TeamLimits,
  toText,
} from './budgets.ts'
import type { LedgerEntry } from './ledger.ts'

/** The most that a call may cost. */
export type WorstCaseCost = {
  inputTokens: number
  inputNanoUsd: bigint
  /** Per output token; null when the price is unknown: then limits in USD do not apply. */
  outputNanoUsd: number | null
  maxTokens: number
  /** With less room than this the call is refused. */
  leastTokens: number
}

/** What every call asks of its budgets. */
export type ReservationRequest = {
  userId: string
  sessionId: string
  /** Whether the session has a budget of its own. */
  isCapped: boolean
  periods: PayingPeriods
  limits: LimitSet
  worst: WorstCaseCost
  /** The team that pays; left out: the user, with their own key. */
  team?: StoredTeamPayer
}

/**
 * The limit that was exceeded: the user's own budget, that of the session that asks, or of the team
 * that pays: its pool, or the member's part of it.
 */
export type Limited = { period: BudgetPeriod; by: 'user' | 'connection' | 'team' | 'member' }

/** A book that has a limit: a period of the user's own, or of what is named before it. */
export type BookName = BudgetPeriod | 'connection' | `${'team' | 'member'}_${BudgetPeriod}`

/** `spent`: final until the period ends. `held`: it would fit without what other calls reserve. */
export type Refusal = { outcome: 'spent' | 'held'; limited: Limited }

/** What was reserved; `maxTokens` may be less than was asked for. */
export type Grant = Amount & { maxTokens: number }

export type GrantRow = {
  maxTokens: number
  nanoUsd: string
  tokens: string
  limitedBy: BookName
}

/** The used percentage of each limit that is nearly used up. */
export type UsedShares = Partial<Record<BookName, number>>

/** What a call came to, for its budgets and the ledger. */
export type Settlement = {
  reservation: Reservation
  spent: Amount
  /** Null when nothing was billed. */
  ledgerRow: LedgerEntry | null
  limits: LimitSet
  /** Used shares below this cause no warning. */
  leastPercent: number
}

/** The sender's, by day and by month. */
const OWN_BOOKS = 2
/** Besides, where a team pays: its pool and the sender's part of it, each by day and by month. */
const TEAM_BOOKS = 4

// Here and where these are used, what is spread comes last in its object: V8 builds such an object of
// some fifty fields in about a microsecond, and one whose spread comes first in up to eighty.

export function toReservingValues(asked: ReservationRequest) {
  const { periods, limits, worst } = asked
  const cappedSessionId = asked.isCapped ? asked.sessionId : null
  return {
    userId: asked.userId,
    sessionId: asked.sessionId,
    cappedSessionId,
    books: OWN_BOOKS + (asked.isCapped ? 1 : 0) + (asked.team ? TEAM_BOOKS : 0),
    day: periods.day,
    month: periods.month,
    inputTokens: String(worst.inputTokens),
    inputNanoUsd: String(worst.inputNanoUsd),
    outputNanoUsd: toText(worst.outputNanoUsd),
    maxTokens: String(worst.maxTokens),
    leastTokens: String(worst.leastTokens),
    ...toLimitValues(limits),
  }
}

/** What a team's paying adds to the values of a call. */
export function toTeamValues(
  { teamId, keyId }: StoredTeamPayer,
  { pool, member }: TeamLimits = { pool: UNLIMITED, member: UNLIMITED },
) {
  return {
    teamId,
    keyId,
    poolDayNanoUsd: toText(pool.day.nanoUsd),
    poolDayTokens: toText(pool.day.tokens),
    poolMonthNanoUsd: toText(pool.month.nanoUsd),
    poolMonthTokens: toText(pool.month.tokens),
    memberDayNanoUsd: toText(member.day.nanoUsd),
    memberDayTokens: toText(member.day.tokens),
    memberMonthNanoUsd: toText(member.month.nanoUsd),
    memberMonthTokens: toText(member.month.tokens),
  }
}

type TeamCall = ReturnType<typeof toReservingValues> & ReturnType<typeof toTeamValues>

/**
 * Adds to each call of a statement the most that those before it may reserve in the same pool: the
 * statement counts the room of all before any of them has reserved.
 */
export function withPoolAhead<Call extends TeamCall>(calls: readonly Call[]) {
  const ahead = new Map<string, { nanoUsd: bigint; tokens: bigint }>()
  return calls.map((call) => {
    const { nanoUsd, tokens } = ahead.get(call.teamId) ?? { nanoUsd: 0n, tokens: 0n }
    const output = BigInt(call.maxTokens) * BigInt(call.outputNanoUsd ?? 0)
    ahead.set(call.teamId, {
      nanoUsd: nanoUsd + BigInt(call.inputNanoUsd) + output,
      tokens: tokens + BigInt(call.inputTokens) + BigInt(call.maxTokens),
    })
    return { aheadNanoUsd: String(nanoUsd), aheadTokens: String(tokens), ...call }
  })
}

export function toSettlingValues(settlement: Settlement) {
  const { reservation, spent, ledgerRow, limits, leastPercent } = settlement
  return {
    sessionId: reservation.sessionId ?? null,
    cappedSessionId: (reservation.isConnection && reservation.sessionId) || null,
    day: reservation.day,
    month: reservation.month,
    reservedNanoUsd: String(reservation.nanoUsd),
    reservedTokens: String(reservation.tokens),
    spentNanoUsd: String(spent.nanoUsd),
    spentTokens: String(spent.tokens),
    leastPercent,
    isBilled: ledgerRow !== null,
    inputTokens: ledgerRow && toInteger(ledgerRow.inputTokens),
    outputTokens: ledgerRow && toInteger(ledgerRow.outputTokens),
    thinkingTokens: ledgerRow && toInteger(ledgerRow.thinkingTokens),
    cacheReadTokens: ledgerRow && toInteger(ledgerRow.cacheReadTokens),
    cacheWrite5mTokens: ledgerRow && toInteger(ledgerRow.cacheWrite5mTokens),
    cacheWrite1hTokens: ledgerRow && toInteger(ledgerRow.cacheWrite1hTokens),
    unitPrices: ledgerRow?.unitPrices ?? null,
    costNanoUsd: toText(ledgerRow?.costNanoUsd ?? null),
    estimated: ledgerRow?.estimated ?? null,
    tag: ledgerRow?.tag ?? null,
    ...toLimitValues(limits),
  }
}

const toLimitValues = ({ day, month, connectionNanoUsd, everything = UNLIMITED }: LimitSet) => ({
  totalDayNanoUsd: toText(everything.day.nanoUsd),
  totalDayTokens: toText(everything.day.tokens),
  totalMonthNanoUsd: toText(everything.month.nanoUsd),
  totalMonthTokens: toText(everything.month.tokens),
  dayNanoUsd: toText(day.nanoUsd),
  dayTokens: toText(day.tokens),
  monthNanoUsd: toText(month.nanoUsd),
  monthTokens: toText(month.tokens),
  connectionNanoUsd: toText(connectionNanoUsd),
})

const UNLIMITED: Record<BudgetPeriod, Limit> = {
  day: { nanoUsd: null, tokens: null },
  month: { nanoUsd: null, tokens: null },
}

export const toGrant = ({ maxTokens, nanoUsd, tokens }: GrantRow): Grant => ({
  maxTokens,
  nanoUsd: BigInt(nanoUsd),
  tokens: Number(tokens),
})

export const toLimited = ({ limitedBy }: GrantRow): Limited => LIMITED[limitedBy]

const LIMITED: Record<BookName, Limited> = {
  day: { period: 'day', by: 'user' },
  month: { period: 'month', by: 'user' },
  connection: { period: 'month', by: 'connection' },
  team_day: { period: 'day', by: 'team' },
  team_month: { period: 'month', by: 'team' },
  member_day: { period: 'day', by: 'member' },
  member_month: { period: 'month', by: 'member' },
}

/** Clamps to PostgreSQL's integer: counts come from outside, and the end must be written. */
export const toInteger = (count: number) =>
  Number.isNaN(count) ? 0 : Math.round(Math.min(Math.max(count, 0), 2 ** 31 - 1))
