/**
 * Who was told that a budget is used up to a share, or that it stopped a call. Thresholds are noted
 * by the settlements themselves (repositories/billing/alerts/alert-sql.ts).
 */

import { LRUCache } from 'lru-cache'
import type { Logger } from '../../../log.ts'
import type { BudgetAlert, BudgetStop } from '../../../repositories/billing/alerts/budget-alerts.ts'
import type { Limit, LimitSet } from '../../../repositories/billing/budgets.ts'
import { periodsAt } from '../../../repositories/billing/periods.ts'
import type { Limited } from '../../../repositories/billing/reservation-values.ts'
import type { Repositories } from '../../../repositories/index.ts'
import { lower } from '../books/limit.ts'

export type { BudgetAlert }

type Deps = { repositories: Pick<Repositories, 'budgetAlerts'>; log: Logger }

/** A call that a budget stopped for good. */
export type StoppedCall = {
  userId: string
  sessionId: string
  /** The team that was to pay. */
  teamId?: string | undefined
  limited: Limited
  limits: LimitSet
  at: Date
}

/** Stops that were noted: a client that tries again and again costs no statement each time. */
const MOST_REMEMBERED = 10_000

export class BudgetAlerts {
  readonly #deps: Deps
  readonly #noted = new LRUCache<string, true>({ max: MOST_REMEMBERED })

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Notes it once for each user, budget and period. Never throws: the call is refused either way. */
  async noteStop(call: StoppedCall): Promise<void> {
    const stop = toStop(call)
    if (stop === undefined) return
    const { bookKind, bookId, userId, period, startsOn } = stop
    const key = `${bookKind} ${bookId} ${userId} ${period} ${startsOn}`
    if (this.#noted.has(key)) return
    try {
      await this.#deps.repositories.budgetAlerts.insertStop(stop)
      this.#noted.set(key, true)
    } catch (err) {
      this.#deps.log.warn({ err }, 'a stopped call could not be noted')
    }
  }

  /** Those of the user's own books, and of their parts of teams' budgets, newest first. */
  async listOfUser(userId: string, now = new Date()): Promise<BudgetAlert[]> {
    return this.#deps.repositories.budgetAlerts.listOfUser(userId, periodsAt(now))
  }

  /** Of a team's budget, and of the parts of all members or (a user's id) of one, newest first. */
  async listOfTeam(teamId: string, userId?: string, now = new Date()): Promise<BudgetAlert[]> {
    const { budgetAlerts } = this.#deps.repositories
    const all = await budgetAlerts.listOfTeam(teamId, periodsAt(now))
    return userId === undefined
      ? all
      : all.filter((alert) => alert.userId === null || alert.userId === userId)
  }
}

/** Undefined for a team's limit of a call that no team was to pay. */
function toStop({
  userId,
  sessionId,
  teamId,
  limited,
  limits,
  at,
}: StoppedCall): BudgetStop | undefined {
  const { by, period } = limited
  const bookId = { user: userId, connection: sessionId, team: teamId, member: teamId }[by]
  if (bookId === undefined) return undefined
  const startsOn = periodsAt(at)[period]
  return { bookKind: by, bookId, userId, period, startsOn, limit: limitOf(limited, limits) }
}

const NO_LIMIT: Limit = { nanoUsd: null, tokens: null }

function limitOf({ by, period }: Limited, limits: LimitSet): Limit {
  if (by === 'user') return lower(limits[period], limits.everything?.[period] ?? NO_LIMIT)
  if (by === 'connection') return { nanoUsd: limits.connectionNanoUsd, tokens: null }
  return limits.team?.[by === 'team' ? 'pool' : 'member'][period] ?? NO_LIMIT
}
