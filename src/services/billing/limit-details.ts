import type { BudgetPeriod, LimitSet, Spending } from '../../repositories/billing/budgets.ts'
import { nextStart, periodsAt } from '../../repositories/billing/periods.ts'
import type { Limited } from '../../repositories/billing/reservation-values.ts'
import type { Repositories } from '../../repositories/index.ts'
import { type Book, bookedIn, isStricter } from './books/book.ts'
import { NO_LIMIT } from './books/limit.ts'
import type { LimitDetails } from './call.ts'

type Books = Pick<Repositories, 'budgets' | 'teamBudgets'>
type Who = { userId: string; sessionId: string; teamId: string | undefined }

/** Reads the books of the limit, which may have changed since it refused. */
export async function limitDetails(
  books: Books,
  who: Who,
  limited: Limited,
  limits: LimitSet,
  now: Date,
): Promise<LimitDetails> {
  const resetsAt = nextStart(limited.period, now)
  if (limited.by === 'connection') {
    const { month } = periodsAt(now)
    const { spent, reserved } = await books.budgets.findOwnSpending(who.sessionId, month)
    const own = { limitNanoUsd: limits.connectionNanoUsd, limitTokens: null, spentTokens: 0 }
    return { ...limited, ...own, spentNanoUsd: spent, reservedNanoUsd: reserved, resetsAt }
  }
  const { limit, spent, reserved } = await bookOf(books, who, limited, limits, now)
  return {
    ...limited,
    limitNanoUsd: limit.nanoUsd,
    limitTokens: limit.tokens,
    spentNanoUsd: spent.nanoUsd,
    spentTokens: spent.tokens,
    reservedNanoUsd: reserved.nanoUsd,
    resetsAt,
  }
}

type Booked = Pick<Book, 'limit' | 'spent' | 'reserved'>

async function bookOf(
  books: Books,
  who: Who,
  { by, period }: Limited,
  limits: LimitSet,
  now: Date,
): Promise<Booked> {
  if (by === 'user' || who.teamId === undefined) return ownBook(books, who, period, limits, now)
  const rows = await spendingOf(books, { ...who, teamId: who.teamId }, by, now)
  const { spent = NOTHING, reserved = NOTHING } = rows.find((row) => row.period === period) ?? {}
  const limit = limits.team?.[by === 'team' ? 'pool' : 'member'][period] ?? NO_LIMIT
  return { limit, spent, reserved }
}

/** Of what the user's own key pays and of everything, the one that leaves less. */
async function ownBook(
  { budgets }: Books,
  { userId }: Who,
  period: BudgetPeriod,
  limits: LimitSet,
  now: Date,
): Promise<Booked> {
  const spending = await budgets.findSpending(userId, periodsAt(now))
  const ownKey = { limit: limits[period], ...bookedIn(period, 'own_key', spending) }
  const limit = limits.everything?.[period] ?? NO_LIMIT
  const everything = { limit, ...bookedIn(period, 'everything', spending) }
  return isStricter(everything, ownKey) ? everything : ownKey
}

async function spendingOf(
  { teamBudgets }: Books,
  { userId, teamId }: Who & { teamId: string },
  by: Limited['by'],
  now: Date,
): Promise<Spending[]> {
  const periods = periodsAt(now)
  return by === 'team'
    ? teamBudgets.findPoolSpending(teamId, periods)
    : teamBudgets.findMemberSpending(teamId, userId, periods)
}

const NOTHING = { nanoUsd: 0n, tokens: 0 }
