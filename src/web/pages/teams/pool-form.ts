/** The form with the limits of a team in USD: those that it sets itself, or those of the installation. */

import type { Request } from 'express'
import type { PoolChange } from '../../../services/billing/teams/team-budgets.ts'
import type { Services } from '../../../services/index.ts'
import { brokenRules, type Refusal, textField } from '../../kit/forms.ts'
import { toAmount, toNanoUsd, UsdAmount } from '../../kit/usd-amount.ts'
import { POOL_FIELDS } from './money-view.ts'

type Limits = Awaited<ReturnType<Services['teamBudgets']['show']>>['limits']

const PERIODS = ['day', 'month'] as const

/** As typed, by the name of the field. */
export const poolValues = (req: Request): Record<string, string> =>
  Object.fromEntries(
    PERIODS.map((period) => [POOL_FIELDS[period], textField(req, POOL_FIELDS[period]).trim()]),
  )

/**
 * What the form changes. Limits in tokens stay, and untouched ones are not validated: tools may have
 * set ones that this form would refuse.
 *
 * @param limits those that are stored, by one setter.
 */
export function poolChanges(
  values: Record<string, string>,
  limits: Limits,
): { refusal: Refusal } | { changes: PoolChange[] } {
  const entries = PERIODS.map((period) => {
    const name = POOL_FIELDS[period]
    const before = limits.find((limit) => limit.period === period)?.nanoUsd ?? null
    return { period, name, typed: values[name] ?? '', before }
  }).filter(({ typed, before }) => typed !== toAmount(before))
  const refusal = brokenRules(
    Object.fromEntries(entries.map(({ name }) => [name, UsdAmount])),
    values,
  )
  if (refusal) return { refusal }
  const changes = entries.flatMap(({ period, typed, before }) => {
    const nanoUsd = toNanoUsd(typed)
    return nanoUsd === before ? [] : [{ period, change: { nanoUsd } }]
  })
  return { changes }
}
