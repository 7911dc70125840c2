import type { AuditActor } from './audit-actor.ts'

/** Ids, roles, counts and amounts; amounts in nano-USD as decimal text. */
export type AuditDetail = Record<string, string | number | boolean | null>

export type AuditEvent = {
  /** `area.act`. */
  action: string
  actor: AuditActor
  target?: { kind: string; id: string }
  /** Also its chain; without one the event is the installation's. */
  teamId?: string
  detail?: AuditDetail
}
