import type { Request } from 'express'
import { AppError } from '../../../errors.ts'
import type { Decision } from '../../../services/billing/requests/decisions.ts'
import { check } from '../../../text/problems.ts'
import { parseUsd } from '../../../text/usd-amount.ts'
import { textField } from '../../kit/forms.ts'
import { ExactUsdAmount } from '../../kit/usd-amount.ts'
import { uuidOf } from '../teams/team-id.ts'

/** What the form beside a request says. @throws AppError invalid_input, not_found for what is no id. */
export function decisionOf(req: Request): { id: string; decision: Decision } {
  const id = uuidOf(req.params.request, 'There is no such request. It may have been decided.')
  if (textField(req, 'decision') !== 'approve') return { id, decision: { isApproved: false } }
  const typed = textField(req, 'amount').trim()
  const [problem] = check(ExactUsdAmount, typed).problems ?? []
  if (problem) throw new AppError('invalid_input', `The limit to grant ${problem.words}.`)
  return { id, decision: { isApproved: true, nanoUsd: parseUsd(typed) } }
}

/** What was typed into it, to be shown again; the form that denies has no amount. */
export const typedDecision = (req: Request): Record<string, string> =>
  textField(req, 'decision') === 'approve'
    ? { [grantField(String(req.params.request))]: textField(req, 'amount').trim() }
    : {}

/** Of the value of a form: a page has one for each request. */
export const grantField = (requestId: string) => `amount-${requestId}`
