import type { AuditActor } from '../audit/audit-actor.ts'
import type { Caller } from './caller.ts'

/** The caller as the audit log names them. */
export const actorOf = ({ userId, sessionId, network }: ActingCaller): AuditActor => ({
  kind: 'user',
  userId,
  sessionId,
  addressPrefix: network,
})

export type ActingCaller = Pick<Caller, 'userId' | 'sessionId' | 'network'>
