/** Who did what an event of the audit log tells of. */

export type AuditActor = {
  /** `operator`: the admin command. `system`: the gateway by itself. */
  kind: 'user' | 'operator' | 'system'
  userId: string | null
  sessionId: string | null
  /** The network of the request, never the whole address. */
  addressPrefix: string | null
}

/** The admin command, which has no session. */
export const OPERATOR: AuditActor = {
  kind: 'operator',
  userId: null,
  sessionId: null,
  addressPrefix: null,
}

/** The gateway by itself. */
export const SYSTEM: AuditActor = { ...OPERATOR, kind: 'system' }
