import type { SessionKind } from '../../repositories/access/sessions.ts'
import type { Scope } from './scopes.ts'

/** The authenticated caller: both the token and its session were found valid. */
export type Caller = {
  userId: string
  username: string
  sessionId: string
  kind: SessionKind
  scopes: readonly Scope[]
  isAdmin: boolean
}
