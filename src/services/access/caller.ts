import type { SessionKind } from '../../repositories/access/sessions.ts'
import type { Scope } from './scopes.ts'

/** Who is asking, after their token and its session were both found good. */
export type Caller = {
  userId: string
  username: string
  sessionId: string
  kind: SessionKind
  scopes: readonly Scope[]
  isAdmin: boolean
}
