/** What every session of the gateway goes by, whatever the server, the database or the role says. */

import type { ClientBase } from 'pg'

/** Also for a replica that stands still in a transaction: its locks are others' to wait for. */
const IDLE_IN_TRANSACTION = '60s'
/** What a statement waits for a lock where it does not say itself: a connection waits with it. */
const LOCK_TIMEOUT = '5s'

/**
 * How statements are planned, in the embedded database too. A prepared statement keeps its plan: left
 * to itself PostgreSQL makes a new one each time, for a guess at how much the values help, which for
 * lookups by key is nothing. Such lookups find their pages in memory, or on disks without heads: with
 * the 4 that PostgreSQL reckons for a page out of turn, a few of them together would read a table of
 * ten thousand rows from end to end.
 */
export const PLANNING = { plan_cache_mode: 'force_generic_plan', random_page_cost: '1.1' }

/**
 * Sent after connecting and not with it: poolers refuse settings in the first packet, and
 * `options` of DATABASE_URL would replace them.
 *
 * Days and months mean the same on every server, and in the embedded database; values come in the
 * form that is read here. Locks are followed by a look at the newest row, which only `read
 * committed` takes.
 *
 * Not set: `default_transaction_read_only`, by which providers protect a database whose disk is
 * full, and `search_path`, which says where the operator wants the tables.
 */
const SETTINGS = {
  ...PLANNING,
  lock_timeout: LOCK_TIMEOUT,
  idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION,
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  standard_conforming_strings: 'on',
}

/** What can be set only before a transaction begins. */
const BETWEEN_TRANSACTIONS = {
  idle_session_timeout: '0',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
}

/** A limit of PostgreSQL 17, and of no version before. */
const NO_TRANSACTION_TIMEOUT =
  "select set_config(name, '0', false) from pg_settings where name = 'transaction_timeout'"

function sessionSettings(statementTimeoutMs: number): string {
  const settings = {
    statement_timeout: `${statementTimeoutMs}ms`,
    ...SETTINGS,
    ...BETWEEN_TRANSACTIONS,
  }
  return `${setSession(settings)}; ${NO_TRANSACTION_TIMEOUT}`
}

/** @returns the statements that set them until the session ends. */
export const setSession = (settings: Record<string, string>): string =>
  Object.entries(settings)
    .map(([name, value]) => `set session ${name} = '${value}'`)
    .join('; ')

const LIFTED = {
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
}

/** @returns the statements that set the same for the rest of a transaction. */
export function transactionSettings(statementTimeoutMs: number, isLifted: boolean): string {
  const limits = { statement_timeout: `${statementTimeoutMs}ms`, ...SETTINGS }
  return Object.entries({ ...limits, ...(isLifted ? LIFTED : {}) })
    .map(([name, value]) => `set local ${name} = '${value}'`)
    .join('; ')
}

/** @throws what the driver throws, also when the server is silent for so long. */
export async function applySettings(
  client: ClientBase,
  statementTimeoutMs: number,
  limitMs: number,
): Promise<void> {
  const query = { text: sessionSettings(statementTimeoutMs), query_timeout: limitMs }
  await client.query(query)
}
