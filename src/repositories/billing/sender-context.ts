/**
 * What every call that spends needs of its sender before it can be reserved: the user's key and
 * limits, and the budget of the session. The SQL is a part of the statements that read it, once for
 * a turn (load-turn-context.ts) and once for a call without a conversation (calls-statements.ts).
 *
 * Takes no locks: the statements that reserve check again what could change until then.
 */

import { rowOf } from '../../database/statements/json-rows.ts'
import { isCapped } from '../access/reach.ts'
import { type LimitRow, limitsOf, type StoredLimit, toBigInt, toStoredLimit } from './budgets.ts'

export type SenderContext = {
  userDataKey: Buffer
  /** Null when the user has not stored one. */
  apiKey: { sealed: Buffer; lastFour: string; rejectedAt: Date | null } | null
  limits: StoredLimit[]
  /** The own budget of the session that asks: a connection's, or a capped token's; null: none. */
  connection: { limitNanoUsd: bigint | null } | null
  /** Ids of the teams whose money the session may spend. */
  purses: readonly string[]
}

export type SenderRow = {
  userDataKey: Buffer
  sealedApiKey: Buffer | null
  lastFour: string
  rejectedAt: Date | null
  limits: LimitRow[]
  isCapped: boolean
  sessionLimit: string | null
  purses: string[] | null
}

/** The tables of a sender, as `u`, `k` and `s`, for each row of `a`, which has the user and session. */
export const SENDER_TABLES = `
  join ${rowOf('users', 'id = a.user_id')} as u on true
  left join ${rowOf('api_keys', 'user_id = a.user_id')} as k on true
  left join ${rowOf('sessions', 'id = a.session_id and user_id = a.user_id')} as s on true`

/** Of {@link SENDER_TABLES}, a {@link SenderRow}. */
export const SENDER_COLUMNS = `
    u.data_key as user_data_key,
    k.sealed as sealed_api_key,
    k.last_four,
    k.rejected_at,
    (
      select coalesce(json_agg(json_build_object(
        'period', b.period,
        'setBy', b.set_by,
        'covers', b.covers,
        'limitNanoUsd', b.limit_nano_usd::text,
        'limitTokens', b.limit_tokens::text
      )), '[]')
      from ${limitsOf('u.id')} as b
    ) as limits,
    ${isCapped('s')} as is_capped,
    s.limit_nano_usd as session_limit,
    s.purses`

/** A table like {@link rowOf}, with the `version` of its row. */
const versionOf = (table: string, isIt: string) =>
  `(select ${table}.xmin::text from ${table} where ${isIt})`

/**
 * Of {@link SENDER_TABLES}: another one after every change of what a {@link SenderRow} and a live
 * session are made of. Rows are told apart by the transaction that wrote them; a user's row has
 * counters too, so that its columns are.
 */
export const SENDER_VERSION = `encode(sha256(convert_to(row(
      u.username, u.role, u.suspended_at, u.data_key,
      ${versionOf('sessions', 'id = a.session_id')},
      ${versionOf('api_keys', 'user_id = a.user_id')},
      (
        select string_agg(b.xmin::text, ',' order by b.period, b.set_by)
        from budgets b where b.user_id = a.user_id
      )
    )::text, 'UTF8')), 'base64')`

export function toSenderContext(row: SenderRow): SenderContext {
  const { userDataKey, sealedApiKey: sealed, lastFour, rejectedAt, limits } = row
  return {
    userDataKey,
    apiKey: sealed === null ? null : { sealed, lastFour, rejectedAt },
    limits: limits.map(toStoredLimit),
    purses: row.purses ?? [],
    connection: row.isCapped ? { limitNanoUsd: toBigInt(row.sessionLimit) } : null,
  }
}
