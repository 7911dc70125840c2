/** What a caller is told whose call a limit refuses: which it was, and who can raise it. */

import type { AppError } from '../../../errors.ts'
import type { SessionKind } from '../../../repositories/access/sessions.ts'
import type { StoredLimit } from '../../../repositories/billing/budgets.ts'
import type { Refusal } from '../../../repositories/billing/reservation-values.ts'
import type { Repositories } from '../../../repositories/index.ts'
import { type Budgets, budgetExceeded } from '../budgets.ts'
import { isOfTeam, teamLimitReached } from '../teams/team-limits.ts'
import type { OpenedPurse } from '../teams/team-purses.ts'
import type { BudgetRequests } from './budget-requests.ts'

type Deps = {
  repositories: Pick<Repositories, 'budgetRequests'>
  budgets: Budgets
  requests: Pick<BudgetRequests, 'deciders'>
}

type Refused = {
  kind: SessionKind
  /** The sender's own limits. */
  limits: readonly StoredLimit[]
  /** Of the team that was to pay. */
  purse?: OpenedPurse | undefined
}

export class LimitRefusals {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** @returns budget_exceeded; rate_limited where only other calls of a team are in the way. */
  async of(refusal: Refusal, { kind, limits, purse }: Refused, now: Date): Promise<AppError> {
    const { limited } = refusal
    const { repositories, requests, budgets } = this.#deps
    if (purse && isOfTeam(limited)) {
      const ask = await requests.deciders(repositories, purse.teamId, {
        setBy: limited.by === 'team' ? purse.poolSetBy[limited.period] : 'team',
      })
      return teamLimitReached(refusal, purse, ask, now)
    }
    const isRaisable = limited.by === 'user' && budgets.isGiven(limits, limited.period)
    const ask = isRaisable ? await requests.deciders(repositories, null, { setBy: 'admin' }) : []
    const isOwn = limited.by === 'user' && budgets.isOwn(limits, limited.period)
    return budgetExceeded(limited, now, kind, { isOwn, ask })
  }
}
