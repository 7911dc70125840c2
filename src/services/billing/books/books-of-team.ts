import type { BudgetPeriod, Spending } from '../../../repositories/billing/budgets.ts'
import { nextStart } from '../../../repositories/billing/periods.ts'
import type { TeamBooks } from '../../../repositories/teams/team-books.ts'
import { PERIODS } from '../budgets.ts'
import { memberCapIn, poolLimitsIn } from '../teams/raised-limits.ts'
import type { Book } from './book.ts'

const NOTHING = { nanoUsd: 0n, tokens: 0 }

/** The limits that a team sets to the user whose view it is. */
export function booksOfTeam(team: TeamBooks, userId: string, now: Date): Book[] {
  const { poolLimits, caps, raises } = team
  return PERIODS.flatMap((period) => {
    const common = { team: { id: team.id, name: team.name }, period, covers: null }
    const resetsAt = nextStart(period, now)
    const pool = poolLimitsIn(period, poolLimits, raises).map(
      ({ setBy, nanoUsd, tokens }): Book => ({
        ...{ kind: 'team', ...common, setBy, limit: { nanoUsd, tokens } },
        ...{ ...bookedIn(period, team.pool), resetsAt },
      }),
    )
    const limit = memberCapIn(period, userId, caps, raises)
    const part: Book = {
      ...{ kind: 'member', ...common, setBy: 'team', limit },
      ...{ ...bookedIn(period, team.part), resetsAt },
    }
    return limit.nanoUsd === null && limit.tokens === null ? pool : [...pool, part]
  })
}

function bookedIn(period: BudgetPeriod, spending: readonly Spending[]) {
  const { spent = NOTHING, reserved = NOTHING } =
    spending.find((book) => book.period === period) ?? {}
  return { spent, reserved }
}
