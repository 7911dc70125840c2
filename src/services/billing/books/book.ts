/** A book: one limit that applies to a user, and what is left of it. */

import type {
  Amount,
  BudgetPeriod,
  Covers,
  Limit,
  UserSpending,
} from '../../../repositories/billing/budgets.ts'
import { isLimit } from './limit.ts'

/** `own`: of the user. `member`: of the user's part of a team's pool. */
export type BookKind = 'own' | 'connection' | 'team' | 'member'

export type Book = {
  kind: BookKind
  /** Of a pool, or a part of one. */
  team: { id: string; name: string } | null
  period: BudgetPeriod
  /** What counts in one of the user's own. */
  covers: Covers | null
  setBy: 'default' | 'admin' | 'user' | 'team'
  limit: Limit
  spent: Amount
  reserved: Amount
  resetsAt: Date
}

/** At least 0; null: no limit. */
export function leftOf({
  limit,
  spent,
  reserved,
}: Pick<Book, 'limit' | 'spent' | 'reserved'>): Limit {
  const { nanoUsd, tokens } = limit
  return {
    nanoUsd: nanoUsd === null ? null : atLeastNothing(nanoUsd - spent.nanoUsd - reserved.nanoUsd),
    tokens: tokens === null ? null : Math.max(0, tokens - spent.tokens - reserved.tokens),
  }
}

const atLeastNothing = (nanoUsd: bigint) => (nanoUsd < 0n ? 0n : nanoUsd)

/** What counts in a limit of the user's. */
export function bookedIn(
  period: BudgetPeriod,
  covers: Covers,
  spending: readonly UserSpending[],
): Pick<Book, 'spent' | 'reserved'> {
  const row = spending.find((one) => one.period === period)
  if (row === undefined) return { spent: NOTHING, reserved: NOTHING }
  const { spent, reserved, ofTeams } = row
  if (covers === 'own_key') return { spent, reserved }
  return { spent: sum(spent, ofTeams.spent), reserved: sum(reserved, ofTeams.reserved) }
}

const NOTHING: Amount = { nanoUsd: 0n, tokens: 0 }

const sum = (a: Amount, b: Amount): Amount => ({
  nanoUsd: a.nanoUsd + b.nanoUsd,
  tokens: a.tokens + b.tokens,
})

type Booked = Pick<Book, 'limit' | 'spent' | 'reserved'>

/** Whether it is limited, and leaves no more than the other. */
export function isStricter(one: Booked, other: Booked): boolean {
  if (!isLimit(one.limit) || !isLimit(other.limit)) return isLimit(one.limit)
  const [left, otherLeft] = [leftOf(one), leftOf(other)]
  if (left.nanoUsd === null || otherLeft.nanoUsd === null) return otherLeft.nanoUsd === null
  return left.nanoUsd <= otherLeft.nanoUsd
}

/** The book that refuses first as calls cost money; undefined when none is limited in USD. */
export function tightest<B extends Book>(books: readonly B[]): B | undefined {
  return books
    .filter(({ limit }) => limit.nanoUsd !== null)
    .reduce<B | undefined>(
      (least, book) => (least === undefined || hasLess(book, least) ? book : least),
      undefined,
    )
}

const hasLess = (one: Book, other: Book) =>
  (leftOf(one).nanoUsd ?? 0n) < (leftOf(other).nanoUsd ?? 0n)

/**
 * Those that refuse first, in USD or in tokens, for some payer: the user with their own key, or one
 * of the teams.
 */
export function bindingOf(books: readonly Book[]): Set<Book> {
  const payers = new Set([null, ...books.map(({ team }) => team?.id ?? null)])
  const binding = [...payers].flatMap((payer) => {
    const applying = books.filter((book) => appliesTo(book, payer))
    return [tightest(applying), tightestInTokens(applying)]
  })
  return new Set(binding.filter((book) => book !== undefined))
}

/** @param payer id of a team; null: the user. */
function appliesTo({ kind, team, covers }: Book, payer: string | null): boolean {
  if (kind === 'connection') return true
  if (kind === 'own') return payer === null || covers === 'everything'
  return team?.id === payer
}

function tightestInTokens(books: readonly Book[]): Book | undefined {
  const left = (book: Book) => leftOf(book).tokens ?? Number.POSITIVE_INFINITY
  return books
    .filter(({ limit }) => limit.tokens !== null)
    .reduce<Book | undefined>(
      (least, book) => (least === undefined || left(book) < left(least) ? book : least),
      undefined,
    )
}
