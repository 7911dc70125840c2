/**
 * A pooler in transaction mode lends a server session for one transaction. Session settings would
 * be lost and would leak to other clients, so each transaction sets its own, and a single statement
 * is wrapped in a transaction.
 */

import { type OwnSettings, transactionSettings } from '../statements/session-settings.ts'

/** The role of a statement in a shared session. */
export type SharedStep = 'begins' | 'stands outside' | 'stands alone'

/** Writes the statements that begin transactions on one connection. */
export class SharedSession {
  readonly #statementTimeoutMs: number
  readonly #own: OwnSettings
  #isLifted = false

  constructor(statementTimeoutMs: number, own: OwnSettings) {
    this.#statementTimeoutMs = statementTimeoutMs
    this.#own = own
  }

  /** Its transactions have no time limits from now on. */
  lift(): void {
    this.#isLifted = true
  }

  /** @param text Kysely's statement that begins a transaction. */
  begin(text = 'begin'): string {
    // The server's default for the isolation level cannot be changed once a transaction has begun.
    const begun = /^begin$/i.test(text) ? 'begin isolation level read committed' : text
    return `${begun}; ${transactionSettings(this.#statementTimeoutMs, this.#own, this.#isLifted)}`
  }
}

/** @param isInTransaction whether a transaction has begun already. */
export function stepOf(text: string, isInTransaction: boolean): SharedStep {
  if (/^(begin|start transaction)\b/i.test(text)) return 'begins'
  // Indexes are built outside of any transaction.
  return isInTransaction || /\bconcurrently\b/.test(text) ? 'stands outside' : 'stands alone'
}

const shared = new WeakSet<object>()

/** Marks a database whose sessions are shared with other clients. */
export function noteShared<Db extends object>(db: Db): Db {
  shared.add(db)
  return db
}

export const hasSharedSessions = (db: object): boolean => shared.has(db)
