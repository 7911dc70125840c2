/**
 * What an error of the database means, for both databases and in this one place: "later", or a fault
 * of the statement's own. "Later" reaches everybody above as `database_unavailable`; the rest is
 * thrown as it came. SQLSTATEs are those of the PostgreSQL documentation, Appendix A.
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
  // 26000, 42P05: a prepared statement that another session's end took away, or put there.
  // 25P03, 57P05: a session that was idle for too long.
  {
    states: /^(08|53|57|58)...$|^(25P03|40003|26000|42P05)$/,
    words: 'is not available',
    retryAfterSeconds: 2,
  },
]

const NOT_AVAILABLE: Later = { words: 'is not available', retryAfterSeconds: 2 }

/** After one of these the server has undone the statement, and the same one may succeed at once. */
const CONFLICT = /^(40001|40P01)$/

/** Says that its connection is of no more use: broken, or to a server that cannot be written to. */
const ENDS_CONNECTION = /^(08...|57P..|25006|25P03|40003|26000|42P05)$/

/** Writes are refused for a while, to everybody. */
const REFUSES_WRITES = /^(25006|53100|58030)$/

/** The driver's own words, and PGlite's, for a server that is lost. */
const LOST = /timeout|terminated|not queryable|closed|closing/i

/**
 * @returns `database_unavailable` for what may succeed later, and `not_found` for a row that names one
 *   which was deleted meanwhile, each with the error as its cause; anything else as it is.
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

/** For an error that is "later" whatever it says, like that of connecting. */
export function unavailable(cause: unknown, { words, retryAfterSeconds }: Later = NOT_AVAILABLE) {
  const { code } = cause as NodeJS.ErrnoException
  return new AppError(
    'database_unavailable',
    `The database ${words}${code ? ` (${code})` : ''}. Try again shortly.`,
    { cause, retryAfterSeconds },
  )
}

/** The SQLSTATE of what was thrown, or of what caused it; undefined when no server said anything. */
function sqlStateOf(thrown: unknown): string | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const { code, severity } = error as Error & { code?: unknown; severity?: unknown }
    if (typeof severity === 'string' && typeof code === 'string') return code
  }
  return undefined
}

/** Two writers were in each other's way, and this one was undone whole. */
export const isConflict = (thrown: unknown) => CONFLICT.test(sqlStateOf(thrown) ?? '')

/** A lock did not come free in the time that `lock_timeout` gave. */
export const isLockTimeout = (thrown: unknown) => sqlStateOf(thrown) === '55P03'

/** Whether the database is read-only or its disk full or broken, until an operator does something. */
export const refusesWrites = (thrown: unknown) => REFUSES_WRITES.test(sqlStateOf(thrown) ?? '')

/** Whether a server that was written to is now one that only reads: a standby, after a failover. */
export const isReadOnly = (thrown: unknown) => sqlStateOf(thrown) === '25006'

/** Whether the connection should not be used for another statement. */
export function endsConnection(thrown: unknown): boolean {
  const state = sqlStateOf(thrown)
  if (state === undefined) return true
  return ENDS_CONNECTION.test(state) || isOutdatedPlan(thrown)
}

/**
 * Of a statement that was asked for several at once: whether it was undone for what may be the fault
 * of one of them, who waits for a lock, or brings much to store. Then the others can be asked again.
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

/** Of PGlite's program, after which it does nothing any more: WebAssembly's trap, or its own abort. */
export const isCrash = (thrown: unknown) =>
  thrown instanceof Error && thrown.name === 'RuntimeError'

/** A newer build has changed a table whose columns a prepared statement names with `*`. */
function isOutdatedPlan(thrown: unknown): boolean {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if ((error as Error & { routine?: unknown }).routine === 'RevalidateCachedQuery') return true
  }
  return false
}
