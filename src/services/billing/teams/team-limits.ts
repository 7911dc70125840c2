/** What a caller is told whom a limit of their team stops. */

import { AppError } from '../../../errors.ts'
import type { TeamLimits } from '../../../repositories/billing/budgets.ts'
import { nextStart } from '../../../repositories/billing/periods.ts'
import type { Limited, Refusal } from '../../../repositories/billing/reservation-values.ts'
import { toUsd } from '../../../text/usd-amount.ts'

const RETRY_AFTER_SECONDS = 5

export const isOfTeam = ({ by }: Limited): boolean => by === 'team' || by === 'member'

/**
 * @param ask usernames of those who can raise the limit; `isRaisable`: whether a request helps.
 * @returns budget_exceeded; rate_limited when only what other calls hold is in the way.
 */
export function teamLimitReached(
  { outcome, limited }: Refusal,
  { teamName, limits }: { teamName: string; limits: TeamLimits },
  { ask, ...raising }: { ask: readonly string[]; isRaisable: boolean },
  now: Date,
): AppError {
  const { period, by } = limited
  const limit = limits[by === 'team' ? 'pool' : 'member'][period]
  const resetsAt = nextStart(period, now)
  const details = {
    period,
    limited_by: `${by}_${period}`,
    team: teamName,
    limit_usd: toUsd(limit.nanoUsd),
    limit_tokens: limit.tokens,
    resets_at: resetsAt.toISOString(),
    ask,
  }
  const what =
    by === 'team' ? `the budget of the team ${teamName}` : `your part of the budget of ${teamName}`
  if (outcome === 'held') {
    const message = `What is left of ${what} for this ${period} is held by calls that are running. Try again in ${RETRY_AFTER_SECONDS} s.`
    return new AppError('rate_limited', message, {
      retryAfterSeconds: RETRY_AFTER_SECONDS,
      details,
    })
  }
  const isRaisable = raising.isRaisable && limit.nanoUsd !== null
  const names = ask.length === 0 ? 'The operator' : ask.join(', ')
  const who = `This call does not fit into what is left of ${what} for this ${period}. It resets at ${details.resets_at}. ${names} can raise it`
  const byTool = `${who} until then: ask with request_budget, naming the team.`
  return new AppError('budget_exceeded', isRaisable ? byTool : `${who}.`, {
    onPages: isRaisable ? `${who} until then: ask at /account/requests.` : undefined,
    retryAfterSeconds: Math.ceil((resetsAt.getTime() - now.getTime()) / 1000),
    details: { ...details, ...(isRaisable && { raise_with: 'request_budget' }) },
  })
}
