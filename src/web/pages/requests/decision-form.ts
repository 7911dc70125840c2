import type { Request } from 'express'
import { AppError } from '../../../errors.ts'
import type { Decision } from '../../../services/billing/requests/decisions.ts'
import { parseUsd } from '../../../text/usd-amount.ts'
import { textField } from '../../kit/forms.ts'
import { uuidOf } from '../teams/team-id.ts'

/** What the form beside a request says. @throws AppError invalid_input, not_found for what is no id. */
export function decisionOf(req: Request): { id: string; decision: Decision } {
  const id = uuidOf(req.params.request, 'There is no such request. It may have been decided.')
  if (textField(req, 'decision') !== 'approve') return { id, decision: { isApproved: false } }
  const typed = textField(req, 'amount').trim()
  const nanoUsd = typed === '' ? undefined : parseUsd(typed)
  if (typed !== '' && nanoUsd === undefined) {
    throw new AppError('invalid_input', 'The limit to grant must be an amount like 20, 7.50 or $5.')
  }
  return { id, decision: { isApproved: true, nanoUsd } }
}
