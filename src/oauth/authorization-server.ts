/** What the HTTP side may know of the authorization server. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Scope } from '../services/scopes.ts'
import type { Caller } from '../services/sessions.ts'

/** A client's request for access that waits for its user on the consent page. */
export type PendingConnection = {
  /** Names it in the URL of the consent page; only the browser that began it may see it. */
  uid: string
  client: {
    id: string
    /** As the client gives it: not to be believed, and to be escaped. */
    name: string
    /** Known by a document at its own https URL, and not by what it registered itself. */
    isDocument: boolean
  }
  redirectUri: string
  scopes: Scope[]
}

/** What the user decided, which may be less than was asked for. */
export type Approval = {
  scopes: Scope[]
  expiresAt: Date
  /** The most this connection may spend a month; null: no limit of its own. */
  limitNanoUsd: bigint | null
}

export type AuthorizationServer = {
  /** The endpoints of OAuth: /oauth/* and the metadata documents. */
  handle(req: IncomingMessage, res: ServerResponse): Promise<void>
  /** @throws AppError not_found when it has expired, or was begun in another browser. */
  pending(req: IncomingMessage, res: ServerResponse): Promise<PendingConnection>
  /** Makes the connection and sends the browser back to the client. @throws AppError not_found. */
  approve(
    req: IncomingMessage,
    res: ServerResponse,
    caller: Caller,
    approval: Approval,
  ): Promise<void>
  /** Sends the browser back to the client with `access_denied`. @throws AppError not_found. */
  deny(req: IncomingMessage, res: ServerResponse): Promise<void>
}
