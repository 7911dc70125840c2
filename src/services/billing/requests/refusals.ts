/** What a caller is told whose call a limit refuses: which it was, and who can raise it. */

import type { AppError } from '../../../errors.ts'
import type { StoredLimit } from '../../../repositories/billing/budgets.ts'
import { periodsAt } from '../../../repositories/billing/periods.ts'
import type { Refusal, WorstCaseCost } from '../../../repositories/billing/reservation-values.ts'
import type { Repositories } from '../../../repositories/index.ts'
import type { Caller } from '../../access/caller.ts'
import { type Book, leftOf, tightest } from '../books/book.ts'
import { booksOfTeam } from '../books/books-of-team.ts'
import { type Budgets, budgetExceeded } from '../budgets.ts'
import { isOfTeam, teamLimitReached } from '../teams/team-limits.ts'
import type { OpenedPurse } from '../teams/team-purses.ts'
import type { BudgetRequests } from './budget-requests.ts'

type Deps = {
  repositories: Pick<Repositories, 'budgetRequests' | 'budgets' | 'teamBooks'>
  budgets: Budgets
  requests: Pick<BudgetRequests, 'deciders'>
}

type Refused = {
  sender: Pick<Caller, 'userId' | 'kind'>
  /** The sender's own limits. */
  limits: readonly StoredLimit[]
  /** Of the team that was to pay. */
  purse?: OpenedPurse | undefined
  worst: WorstCaseCost
}

export class LimitRefusals {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** @returns budget_exceeded; rate_limited where only other calls of a team are in the way. */
  async of(refusal: Refusal, refused: Refused, now: Date): Promise<AppError> {
    const { limited } = refusal
    const { repositories, requests } = this.#deps
    const { purse, worst } = refused
    if (purse && isOfTeam(limited)) {
      const books = await this.#booksOfTeam(refusal, refused.sender.userId, purse, now)
      const stops = books.filter((book) => hasNoRoom(book, worst))
      // Of several the one that a request is about.
      const stop = tightest(stops) ?? stops[0] ?? tightest(books)
      const ask = await requests.deciders(repositories, purse.teamId, {
        setBy: stop?.setBy ?? 'team',
      })
      // What is granted is USD: it makes no room where tokens are used up.
      const isRaisable = !stops.some((book) => hasNoTokens(book, worst))
      return teamLimitReached(refusal, purse, { ask, isRaisable }, now)
    }
    const stops = await this.#stopsOfUser(refusal, refused, now)
    const isOwn = stops.length > 0 && stops.every(({ setBy }) => setBy === 'user')
    const isRaisable = !isOwn && stops.length > 0 && !stops.some((book) => hasNoTokens(book, worst))
    const ask = isRaisable ? await requests.deciders(repositories, null, { setBy: 'admin' }) : []
    return budgetExceeded(limited, now, refused.sender.kind, { isOwn, ask })
  }

  async #booksOfTeam(
    { limited }: Refusal,
    userId: string,
    { teamId }: OpenedPurse,
    now: Date,
  ): Promise<Book[]> {
    const [team] = await this.#deps.repositories.teamBooks.list(userId, periodsAt(now), teamId)
    const books = team === undefined ? [] : booksOfTeam(team, userId, now)
    return books.filter(({ kind, period }) => kind === limited.by && period === limited.period)
  }

  /** The user's own limits that refuse; none where it is no limit of theirs. */
  async #stopsOfUser(
    { limited }: Refusal,
    { sender, limits, purse, worst }: Refused,
    now: Date,
  ): Promise<Book[]> {
    if (limited.by !== 'user') return []
    const { repositories, budgets } = this.#deps
    const spending = await repositories.budgets.findSpending(sender.userId, periodsAt(now))
    const books = budgets
      .books(limits, spending, now)
      .filter(({ period, covers }) => period === limited.period && (!purse || covers !== 'own_key'))
    const stops = books.filter((book) => hasNoRoom(book, worst))
    // What held the call may have been released since.
    return stops.length > 0 ? stops : [tightest(books)].filter((book) => book !== undefined)
  }
}

const hasNoRoom = (book: Book, worst: WorstCaseCost): boolean =>
  hasNoTokens(book, worst) || hasNoUsd(book, worst)

function hasNoTokens(book: Book, { inputTokens, leastTokens }: WorstCaseCost): boolean {
  const { tokens } = leftOf(book)
  return tokens !== null && tokens < inputTokens + leastTokens
}

function hasNoUsd(
  book: Book,
  { inputNanoUsd, outputNanoUsd, leastTokens }: WorstCaseCost,
): boolean {
  const { nanoUsd } = leftOf(book)
  if (nanoUsd === null || outputNanoUsd === null) return false
  return nanoUsd < inputNanoUsd + BigInt(leastTokens) * BigInt(outputNanoUsd)
}
