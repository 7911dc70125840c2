/**
 * What programs elsewhere are told of by webhooks, and which events of the audit log that is. It is
 * queued in the transaction of the act, as the event itself is: AuditLog.record does both.
 */

import type { NewWebhookEvent } from '../../repositories/webhooks/webhook-events.ts'
import { toUsd } from '../../text/usd-amount.ts'
import type { AuditDetail, AuditEvent } from './audit-event.ts'

export const WEBHOOK_EVENTS = [
  'budget.threshold',
  'budget.exceeded',
  'budget.requested',
  'key.rejected',
  'member.added',
  'member.removed',
  'link.public_created',
  'link.crawled',
  'sign_in.locked',
  'audit.checkpoint',
] as const

export type WebhookEventName = (typeof WEBHOOK_EVENTS)[number]

/** Of these alone the receivers of a team are told: the others are of no team. */
export const TEAM_WEBHOOK_EVENTS: readonly WebhookEventName[] = [
  'budget.threshold',
  'budget.exceeded',
  'budget.requested',
  'key.rejected',
  'member.added',
  'member.removed',
]

type Told = Omit<NewWebhookEvent, 'id'> & { event: WebhookEventName }
type Data = Record<string, AuditDetail[string]>

/** @returns undefined for events of which no webhook is told. */
export function toldOf(event: AuditEvent): Told | undefined {
  const told = BY_ACTION[event.action]
  if (told === undefined) return undefined
  // What is recorded in two chains, the installation's and a team's, is told of once.
  const { chain } = told
  if (chain !== undefined && (chain === 'team') !== (event.teamId !== undefined)) return undefined
  const { detail = {}, target, teamId = null } = event
  return { event: told.event, teamId, data: told.data({ detail, targetId: target?.id ?? null }) }
}

type Source = { detail: AuditDetail; targetId: string | null }

const BY_ACTION: Readonly<
  Record<
    string,
    | {
        event: WebhookEventName
        /** That of which alone it is told; undefined: it is recorded in one only. */
        chain?: 'team' | 'installation'
        data: (source: Source) => Data
      }
    | undefined
  >
> = {
  'budget.requested': {
    event: 'budget.requested',
    data: ({ detail, targetId }) => ({
      user_id: targetId,
      request_id: detail.request ?? null,
      budget: detail.book ?? null,
      period: detail.period ?? null,
      wanted_usd: typeof detail.nanoUsd === 'string' ? toUsd(BigInt(detail.nanoUsd)) : null,
    }),
  },
  'member.added': {
    event: 'member.added',
    chain: 'team',
    data: ({ detail, targetId }) => ({ user_id: targetId, role: detail.role ?? null }),
  },
  'member.removed': {
    event: 'member.removed',
    chain: 'team',
    data: ({ detail, targetId }) => ({ user_id: targetId, role: detail.role ?? null, left: false }),
  },
  'member.left': {
    event: 'member.removed',
    chain: 'team',
    data: ({ detail, targetId }) => ({ user_id: targetId, role: detail.role ?? null, left: true }),
  },
  'key.rejected': {
    event: 'key.rejected',
    data: ({ detail, targetId }) => ({
      key_of: detail.keyOf ?? null,
      user_id: detail.keyOf === 'user' ? targetId : null,
      last_four: detail.lastFour ?? null,
    }),
  },
  'link.public_created': {
    event: 'link.public_created',
    chain: 'installation',
    data: ({ detail, targetId }) => ({
      link_id: targetId,
      conversation_id: detail.conversationId ?? null,
      days: detail.days ?? null,
    }),
  },
  'link.crawled': {
    event: 'link.crawled',
    chain: 'installation',
    data: ({ detail, targetId }) => ({
      link_id: targetId,
      conversation_id: detail.conversationId ?? null,
      crawler: detail.crawler ?? null,
    }),
  },
  'sign_in.locked': {
    event: 'sign_in.locked',
    data: ({ detail, targetId }) => ({
      user_id: targetId,
      failures: detail.failures ?? null,
    }),
  },
}
