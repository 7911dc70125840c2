/** Why a call was not admitted, in words for the people who see them in their clients. */

import { AppError } from '../../errors.ts'
import type { LimitDetails, StartedCall } from '../billing/call.ts'
import { namesOf } from '../billing/teams/team-purses.ts'

const RETRY_AFTER_SECONDS = 5

type Refused = Extract<StartedCall, { outcome: 'spent' | 'held_by_others' }>

/** The team that was to pay, and usernames of those who can raise its limits. */
type Team = { name: string; ask: readonly string[] }

/** `spent` is final until the period ends; `held_by_others` passes as soon as other calls end. */
export function callRefused({ outcome, limit }: Refused, publicUrl: string, team?: Team): AppError {
  const what = nameOf(limit, team)
  const others = limit.by === 'team' ? 'other calls' : 'your calls'
  const usage = `See ${publicUrl}/account/usage.`
  const resetsAt = limit.resetsAt.toISOString()
  const spent = spentOf(limit)
  if (outcome === 'held_by_others') {
    const message = `${what} for this ${limit.period} has no room beside ${others} in flight: ${spent}, and they hold the rest for now. Try again in ${RETRY_AFTER_SECONDS} s. ${usage}`
    return new AppError('rate_limited', message, { retryAfterSeconds: RETRY_AFTER_SECONDS })
  }
  const message = `${what} for this ${limit.period} has no room left for this call: ${spent}. ${hasRest(limit) ? 'With fewer max_tokens or a shorter prompt it may have. ' : ''}It starts again at ${resetsAt}. ${isOfTeam(limit) && team ? `${namesOf(team.ask)} can raise it. ` : ''}${isRaisable(limit) ? `Ask for more at ${publicUrl}/account/requests. ` : ''}${usage}`
  return new AppError('budget_exceeded', message, {
    details: { period: limit.period, resets_at: resetsAt },
  })
}

const isRaisable = ({ by, limitNanoUsd }: LimitDetails) =>
  by !== 'connection' && limitNanoUsd !== null

const isOfTeam = ({ by }: LimitDetails) => by === 'team' || by === 'member'

function nameOf(limit: LimitDetails, team: Team | undefined): string {
  if (limit.by === 'connection') return "This token's own limit"
  if (!isOfTeam(limit) || team === undefined) return 'Your budget'
  return limit.by === 'team'
    ? `The budget of the team ${team.name}`
    : `Your part of the budget of ${team.name}`
}

export const sessionOver = (publicUrl: string) =>
  new AppError(
    'unauthenticated',
    `This token was revoked or has expired: make another one at ${publicUrl}/account/tokens.`,
  )

function spentOf({ limitNanoUsd, limitTokens, spentNanoUsd, spentTokens }: LimitDetails): string {
  if (limitNanoUsd !== null) return `$${usd(spentNanoUsd)} of $${usd(limitNanoUsd)} is spent`
  return `${spentTokens} of ${limitTokens ?? 0} tokens are spent`
}

const hasRest = ({ limitNanoUsd, limitTokens, spentNanoUsd, spentTokens }: LimitDetails) =>
  (limitNanoUsd === null || spentNanoUsd < limitNanoUsd) &&
  (limitTokens === null || spentTokens < limitTokens)

const usd = (nanoUsd: bigint) => (Number(nanoUsd) / 1e9).toFixed(2)
