import type { SessionKind } from '../../repositories/access/sessions.ts'
import type { ReadAhead } from './read-ahead.ts'
import type { Scope } from './scopes.ts'

/** The authenticated caller: both the token and its session were found valid. */
export type Caller = {
  userId: string
  username: string
  sessionId: string
  kind: SessionKind
  scopes: readonly Scope[]
  /** Of the installation. */
  isAdmin: boolean
  /** Sees figures and the audit log of the installation; so do its admins. */
  isAuditor: boolean
  /** The network of the request, for the audit log; null: not known. */
  network: string | null
  /** What a personal token may name at the Messages API; absent: every model. */
  allowedModels?: readonly string[]
  /** For the call that was announced when the session was looked up. */
  readAhead?: ReadAhead
}
