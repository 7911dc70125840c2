/** Limits of teams as they are now: with what was granted for the rest of a period. */

import type { BudgetPeriod, Limit } from '../../../repositories/billing/budgets.ts'
import type { Raise } from '../../../repositories/teams/team-books.ts'
import type { MemberCap, PoolLimit } from '../../../repositories/teams/team-budgets.ts'
import { lower, NO_LIMIT, raisedBy } from '../books/limit.ts'

/** The limits of a pool for a period: one that the team has set, one of the installation. */
export const poolLimitsIn = (
  period: BudgetPeriod,
  limits: readonly PoolLimit[],
  raises: readonly Raise[],
): PoolLimit[] =>
  limits
    .filter((limit) => limit.period === period)
    .map((limit) => ({ ...limit, ...raisedBy(toLimit(limit), grantedTo(limit, raises)) }))

/** Every limit of the pool applies. */
export const poolLimitIn = (
  period: BudgetPeriod,
  limits: readonly PoolLimit[],
  raises: readonly Raise[],
): Limit => poolLimitsIn(period, limits, raises).map(toLimit).reduce(lower, NO_LIMIT)

/** A member's own cap replaces the one for every member. */
export function memberCapIn(
  period: BudgetPeriod,
  userId: string,
  caps: readonly MemberCap[],
  raises: readonly Raise[],
): Limit {
  const ofPeriod = caps.filter((cap) => cap.period === period)
  const cap =
    ofPeriod.find((one) => one.userId === userId) ?? ofPeriod.find((one) => one.userId === null)
  if (cap === undefined) return NO_LIMIT
  const own = raises.filter(
    (raise) => raise.book === 'member' && raise.period === period && raise.userId === userId,
  )
  return raisedBy(
    toLimit(cap),
    own.map(({ nanoUsd }) => nanoUsd),
  )
}

const grantedTo = ({ period, setBy }: PoolLimit, raises: readonly Raise[]): bigint[] =>
  raises
    .filter((raise) => raise.book === 'team' && raise.period === period)
    .filter(({ isByInstallation }) => setBy === 'team' || isByInstallation)
    .map(({ nanoUsd }) => nanoUsd)

const toLimit = ({ nanoUsd, tokens }: Limit): Limit => ({ nanoUsd, tokens })
