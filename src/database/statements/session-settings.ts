/** Settings of every session, which override those of the server, the database and the role. */

import type { ClientBase } from 'pg'

/** Also ends a transaction of a stalled replica, whose locks would block others. */
const IDLE_IN_TRANSACTION = '60s'
/** Default for statements that set no limit of their own: a waiting one occupies a connection. */
const LOCK_TIMEOUT = '5s'

/**
 * Planner settings, also of the embedded database. A prepared statement keeps one generic plan: by
 * default PostgreSQL may plan each run for its values, which gains nothing for lookups by key.
 * Their pages are in memory or on SSDs: with the default random_page_cost of 4, a few lookups in
 * one statement would become a sequential scan of a table of ten thousand rows.
 */
export const PLANNING = { plan_cache_mode: 'force_generic_plan', random_page_cost: '1.1' }

/**
 * Sent after connecting, not in the startup packet: poolers refuse settings there, and `options` of
 * DATABASE_URL would replace them.
 *
 * Dates mean the same on every server and in the embedded database, and values have the text form
 * that the parsers expect. After a lock the newest row is read, which needs `read committed`.
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

/** Settings of the gateway's own, by name, which its statements read. */
export type OwnSettings = Readonly<Record<string, string>>

/** Settings that apply only before a transaction begins. */
const BETWEEN_TRANSACTIONS = {
  idle_session_timeout: '0',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
}

/** A limit since PostgreSQL 17. */
const NO_TRANSACTION_TIMEOUT =
  "select set_config(name, '0', false) from pg_settings where name = 'transaction_timeout'"

function sessionSettings(statementTimeoutMs: number, own: OwnSettings): string {
  const settings = {
    ...own,
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
export function transactionSettings(
  statementTimeoutMs: number,
  own: OwnSettings,
  isLifted: boolean,
): string {
  const limits = { ...own, statement_timeout: `${statementTimeoutMs}ms`, ...SETTINGS }
  return Object.entries({ ...limits, ...(isLifted ? LIFTED : {}) })
    .map(([name, value]) => `set local ${name} = '${value}'`)
    .join('; ')
}

/** @throws what the driver throws, also when the server does not answer within `limitMs`. */
export async function applySettings(
  client: ClientBase,
  { statementTimeoutMs, own }: { statementTimeoutMs: number; own: OwnSettings },
  limitMs: number,
): Promise<void> {
  const query = { text: sessionSettings(statementTimeoutMs, own), query_timeout: limitMs }
  await client.query(query)
}
