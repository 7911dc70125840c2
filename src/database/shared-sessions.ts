/**
 * A pooler in transaction mode lends a session of the server for a transaction at a time. What is set
 * in a session would be lost by its setter and met by others, so each transaction sets for itself
 * what it goes by, and whatever stands alone becomes one.
 */

import { transactionSettings } from './session-settings.ts'

/** What a statement is to one of the many who share a session. */
export type SharedStep = 'begins' | 'stands outside' | 'stands alone'

/** Texts of the statements for the client of one connection. */
export class SharedSession {
  readonly #statementTimeoutMs: number
  #isLifted = false

  constructor(statementTimeoutMs: number) {
    this.#statementTimeoutMs = statementTimeoutMs
  }

  /** From here on its transactions have no time limits. */
  lift(): void {
    this.#isLifted = true
  }

  /** @param text as Kysely begins one. */
  begin(text = 'begin'): string {
    // Of a default of the server, which cannot be set any more in a transaction that has begun.
    const begun = /^begin$/i.test(text) ? 'begin isolation level read committed' : text
    return `${begun}; ${transactionSettings(this.#statementTimeoutMs, this.#isLifted)}`
  }
}

/** @param isInTransaction whether one has begun already. */
export function stepOf(text: string, isInTransaction: boolean): SharedStep {
  if (/^(begin|start transaction)\b/i.test(text)) return 'begins'
  // Indexes are built outside of any transaction.
  return isInTransaction || /\bconcurrently\b/.test(text) ? 'stands outside' : 'stands alone'
}

const shared = new WeakSet<object>()

/** Remembers of a database that its sessions are others' too. */
export function noteShared<Db extends object>(db: Db): Db {
  shared.add(db)
  return db
}

export const hasSharedSessions = (db: object): boolean => shared.has(db)
