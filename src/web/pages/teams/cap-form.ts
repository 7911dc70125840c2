/** The form with what one member, or each without a limit of their own, may spend of a team's money. */

import type { Request } from 'express'
import { z } from 'zod'
import type { LimitChange } from '../../../services/billing/books/limit.ts'
import { brokenRules, type Refusal, textField } from '../../kit/forms.ts'
import { toNanoUsd, UsdAmount } from '../../kit/usd-amount.ts'

const MOST_DIGITS = 15
const Tokens = z
  .string()
  .regex(/^\d*$/, 'must be a whole number of tokens')
  .max(MOST_DIGITS, `must have at most ${MOST_DIGITS} digits`)

type Cap = {
  /** Null: every member without a limit of their own. */
  member: string | null
  period: 'day' | 'month'
  /** Of what is not in the chosen unit, the limit stays. */
  change: LimitChange
}

/** As typed, by the name of the field. */
export const capValues = (req: Request) => ({
  member: textField(req, 'member').trim(),
  period: textField(req, 'period'),
  unit: textField(req, 'unit'),
  cap: textField(req, 'cap').trim(),
})

export function capOf(values: ReturnType<typeof capValues>): { refusal: Refusal } | { cap: Cap } {
  const isTokens = values.unit === 'tokens'
  const refusal = brokenRules({ cap: isTokens ? Tokens : UsdAmount }, values)
  if (refusal) return { refusal }
  const tokens = values.cap === '' ? null : Number(values.cap)
  const change = isTokens ? { tokens } : { nanoUsd: toNanoUsd(values.cap) }
  const period = values.period === 'day' ? 'day' : 'month'
  return { cap: { member: values.member || null, period, change } }
}
