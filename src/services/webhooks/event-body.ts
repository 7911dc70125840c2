/**
 * What a receiver gets: ids, figures and the names of teams; never text, titles or names of people.
 * The form is that of Standard Webhooks: type, timestamp, data.
 */

import type { BudgetAlert } from '../../repositories/billing/alerts/budget-alerts.ts'
import { nextStart } from '../../repositories/billing/periods.ts'
import type { WebhookEventRow } from '../../repositories/webhooks/webhook-events.ts'
import { toUsd } from '../../text/usd-amount.ts'

/** One thing that happened. */
export type ToldEvent = {
  id: string
  event: string
  teamId: string | null
  occurredAt: Date
  data: Record<string, unknown>
}

export const ofAct = ({ id, event, teamId, occurredAt, data }: WebhookEventRow): ToldEvent => ({
  ...{ id, event, teamId, occurredAt, data },
})

/** @param id for the event: an alert has none of its own. */
export function ofAlert(alert: BudgetAlert, id: string): ToldEvent {
  const { bookKind, bookId, userId, threshold, period, startsOn, limit, spent, firedAt } = alert
  const isStop = threshold === 0
  return {
    id,
    event: isStop ? 'budget.exceeded' : 'budget.threshold',
    teamId: bookKind === 'team' || bookKind === 'member' ? bookId : null,
    occurredAt: firedAt,
    data: {
      budget: bookKind,
      ...(userId !== null && { user_id: userId }),
      ...(bookKind === 'connection' && { session_id: bookId }),
      period,
      starts_on: startsOn,
      resets_at: nextStart(period, new Date(`${startsOn}T00:00:00Z`)).toISOString(),
      ...(!isStop && { threshold_percent: threshold }),
      limit_usd: limit.nanoUsd === null ? null : toUsd(limit.nanoUsd),
      limit_tokens: limit.tokens,
      spent_usd: toUsd(spent.nanoUsd),
      spent_tokens: spent.tokens,
    },
  }
}

/** @param teamName of the event's team, if it has one. */
export function bodyOf(
  { id, event, teamId, occurredAt, data }: ToldEvent,
  teamName: string | undefined,
): string {
  const team = teamId === null ? {} : { team: { id: teamId, name: teamName ?? null } }
  return JSON.stringify({
    type: event,
    timestamp: occurredAt.toISOString(),
    data: { event_id: id, ...team, ...data },
  })
}
