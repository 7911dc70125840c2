/**
 * Classifies the errors of both databases: retryable ("later"), or a fault of the statement.
 * Retryable ones are thrown as `database_unavailable`, all others unchanged. SQLSTATEs are those of
 * the PostgreSQL documentation, Appendix A.
 */

import { AppError, isDatabaseGone } from '../errors.ts'

type Later = { words: string; retryAfterSeconds: number }

const LATER: readonly (Later & { states: RegExp })[] = [
  { states: /^25006$/, words: 'is read-only', retryAfterSeconds: 5 },
  { states: /^53100$/, words: 'has no disk space left', retryAfterSeconds: 10 },
  { states: /^53300$/, words: 'has no connection left', retryAfterSeconds: 5 },
  { states: /^(40001|40P01)$/, words: 'had a conflict between two writers', retryAfterSeconds: 1 },
  { states: /^55P03$/, words: 'waited too long for a lock', retryAfterSeconds: 2 },
  { states: /^57014$/, words: 'took too long', retryAfterSeconds: 5 },
  // 26000, 42P05: a prepared statement is missing, or exists already, as sessions were swapped.
  // 25P03, 57P05: idle timeouts of a transaction and of a session.
  {
    states: /^(08|53|57|58)...$|^(25P03|40003|26000|42P05)$/,
    words: 'is not available',
    retryAfterSeconds: 2,
  },
]

const NOT_AVAILABLE: Later = { words: 'is not available', retryAfterSeconds: 2 }

/** The server has rolled the statement back, and an immediate retry may succeed. */
const CONFLICT = /^(40001|40P01)$/

/** The connection must not be reused: it is broken, or leads to a read-only server. */
const ENDS_CONNECTION = /^(08...|57P..|25006|25P03|40003|26000|42P05)$/

/** The database refuses all writes for now. */
const REFUSES_WRITES = /^(25006|53100|58030)$/

/** The messages of the driver and of PGlite for a lost server. */
const LOST = /timeout|terminated|not queryable|closed|closing/i

/**
 * @returns `database_unavailable` for a retryable error, and `not_found` for a foreign key to a row
 *   that has been deleted, each with the error as its cause; anything else unchanged.
 */
export function toDatabaseError(thrown: unknown): unknown {
  if (thrown instanceof AppError) return thrown
  if (sqlStateOf(thrown) === '23503') return deletedMeanwhile(thrown)
  const later = laterOf(thrown)
  return later ? unavailable(thrown, later) : thrown
}

const deletedMeanwhile = (cause: unknown) =>
  new AppError(
    'not_found',
    'What this was for has been deleted meanwhile: the account, or something of it.',
    { cause },
  )

/** For an error that is always retryable, such as a failure to connect. */
export function unavailable(cause: unknown, { words, retryAfterSeconds }: Later = NOT_AVAILABLE) {
  const { code } = cause as NodeJS.ErrnoException
  return new AppError(
    'database_unavailable',
    `The database ${words}${code ? ` (${code})` : ''}. Try again shortly.`,
    { cause, retryAfterSeconds },
  )
}

/** The SQLSTATE of the error or of its causes; undefined when it does not come from a server. */
function sqlStateOf(thrown: unknown): string | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const { code, severity } = error as Error & { code?: unknown; severity?: unknown }
    if (typeof severity === 'string' && typeof code === 'string') return code
  }
  return undefined
}

/** A serialization failure or deadlock: the statement was rolled back. */
export const isConflict = (thrown: unknown) => CONFLICT.test(sqlStateOf(thrown) ?? '')

/** A lock was not free within `lock_timeout`. */
export const isLockTimeout = (thrown: unknown) => sqlStateOf(thrown) === '55P03'

/** Whether the database is read-only or its disk is full or broken, until an operator acts. */
export const refusesWrites = (thrown: unknown) => REFUSES_WRITES.test(sqlStateOf(thrown) ?? '')

/** Whether the server is read-only: a standby, after a failover. */
export const isReadOnly = (thrown: unknown) => sqlStateOf(thrown) === '25006'

/** Whether the connection must not be reused. */
export function endsConnection(thrown: unknown): boolean {
  const state = sqlStateOf(thrown)
  if (state === undefined) return true
  return ENDS_CONNECTION.test(state) || isOutdatedPlan(thrown)
}

/**
 * Whether a single item of a batch may have caused the failure, by waiting for a lock or by its
 * size. Then each item can be retried alone.
 */
export function mayConcernOne(thrown: unknown): boolean {
  if (!isDatabaseGone(thrown)) return true
  return /^(40001|40P01|55P03|57014|53100)$/.test(sqlStateOf(thrown) ?? '')
}

function laterOf(thrown: unknown): Later | undefined {
  const state = sqlStateOf(thrown)
  if (state === undefined) return isLost(thrown) ? NOT_AVAILABLE : undefined
  if (isOutdatedPlan(thrown)) return NOT_AVAILABLE
  return LATER.find(({ states }) => states.test(state))
}

function isLost(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false
  if (isCrash(thrown)) return true
  const { code, message } = thrown as NodeJS.ErrnoException
  return /^E[A-Z]+$/.test(code ?? '') || LOST.test(message)
}

/** PGlite's program has ended for good: by a WebAssembly trap, or by its own abort. */
export const isCrash = (thrown: unknown) =>
  thrown instanceof Error && thrown.name === 'RuntimeError'

/** A newer build has changed the columns of a table that a prepared statement selects with `*`. */
function isOutdatedPlan(thrown: unknown): boolean {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if ((error as Error & { routine?: unknown }).routine === 'RevalidateCachedQuery') return true
  }
  return false
}
