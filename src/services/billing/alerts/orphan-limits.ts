import type {
  BudgetPeriod,
  LimitSet,
  Reservation,
  TeamLimits,
} from '../../../repositories/billing/budgets.ts'
import type { Repositories } from '../../../repositories/index.ts'
import { type Budgets, UNLIMITED } from '../budgets.ts'
import { memberCapIn, poolLimitIn } from '../teams/raised-limits.ts'

type Deps = {
  repositories: Pick<Repositories, 'calls' | 'teamBooks' | 'teamBudgets'>
  budgets: Pick<Budgets, 'limitsOf'>
}

const NO_SESSION = '00000000-0000-0000-0000-000000000000'

/**
 * The limits that apply to a call whose process died, as they are now: what it reserved does not name
 * them. Its settlement notes which of their thresholds it reached.
 */
export class OrphanLimits {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Without a limit when the user is gone. */
  async find(
    userId: string,
    { sessionId = NO_SESSION, team }: Pick<Reservation, 'sessionId' | 'team'>,
  ): Promise<LimitSet> {
    const { repositories, budgets } = this.#deps
    const context = await repositories.calls.findContext({ userId, sessionId })
    if (context === undefined) return UNLIMITED
    return budgets.limitsOf(context, team && (await this.#ofTeam(team.teamId, userId)))
  }

  async #ofTeam(teamId: string, userId: string): Promise<TeamLimits> {
    const { teamBooks, teamBudgets } = this.#deps.repositories
    const limits = await teamBudgets.listPoolLimits(teamId)
    const caps = await teamBudgets.listCaps(teamId)
    const raises = await teamBooks.listRaises(teamId)
    const pool = (period: BudgetPeriod) => poolLimitIn(period, limits, raises)
    const member = (period: BudgetPeriod) => memberCapIn(period, userId, caps, raises)
    return {
      pool: { day: pool('day'), month: pool('month') },
      member: { day: member('day'), month: member('month') },
    }
  }
}
