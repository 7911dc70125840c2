import { AppError } from '../../../errors.ts'
import type { BudgetPeriod } from '../../../repositories/billing/budgets.ts'
import { toUsd } from '../../../text/usd-amount.ts'
import { wrongField } from '../../access/field-rules.ts'

/** The same for one that was never there, and for one that is about others. */
export const requestNotFound = (field = 'request_id') =>
  new AppError(
    'not_found',
    'There is no such request. It may have been decided or taken back, or its period is over.',
    { details: { field } },
  )

export function nothingToRaise(team: string | undefined): AppError {
  const which = team === undefined ? 'was set to you' : `applies to you in the team ${team}`
  const why = `No limit in USD ${which}, so there is nothing to raise.`
  const page = team === undefined ? '/account/usage' : 'Its page, at /account/teams,'
  return new AppError('invalid_input', `${why} get_budget shows what applies.`, {
    onPages: `${why} ${page} shows what applies.`,
  })
}

export function noRaise(period: BudgetPeriod, limitNanoUsd: bigint): AppError {
  const rule = `must be more than the limit for this ${period}, which is ${toUsd(limitNanoUsd)} USD`
  return wrongField('limit_usd', rule, { onPages: `The new limit ${rule}.` })
}

/** A pool has a second limit, about which its team does not decide. */
export const aboveInstallation = (period: BudgetPeriod, limitNanoUsd: bigint) =>
  new AppError(
    'forbidden',
    `The installation limits this team to ${toUsd(limitNanoUsd)} USD for this ${period}. Only its admins or the operator raise that.`,
    { details: { field: 'limit_usd', limit_usd: toUsd(limitNanoUsd) } },
  )

export const tooManyOpen = (most: number) =>
  new AppError(
    'invalid_input',
    `You have ${most} open requests, which is the most. Take one back, or wait until some are decided.`,
  )

export const tooManyLately = (most: number) =>
  new AppError('rate_limited', `You have made ${most} requests in 24 hours, which is the most.`, {
    retryAfterSeconds: 3600,
  })

export const decidesOwn = () =>
  new AppError('forbidden', 'This request is your own. Another admin, or the operator, decides it.')
