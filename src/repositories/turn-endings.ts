/**
 * How a turn ends, in one prepared statement and hence whole or not at all: the reservation becomes
 * what was really spent, the answer is stored, the ledger gets its line, the conversation is free.
 *
 * `running` locks the answer first: of two who end it at once the second finds nothing, and then
 * nothing else of the statement happens either. The budgets follow, day before month before
 * connection, and the conversation last.
 */

import type { Kysely } from 'kysely'
import { prepare } from '../database/prepared.ts'
import type { BudgetPeriod, MessageStatus, Schema, StoredReservation } from '../database/schema.ts'
import type { Amount, LimitSet } from './budgets.ts'
import type { NewLedgerRow } from './ledger.ts'

/** How a turn ended. */
export type TurnEnd = {
  status: Exclude<MessageStatus, 'running'>
  /** The sealed answer; null when there is none. */
  content: Buffer | null
  /** Sealed. */
  stopSequence: Buffer | null
  model: string
  tokenCount: number
  result: Record<string, unknown> | null
  errorCode: string | null
  requestId: string | null
  durationMs: number
  upstreamMs: number
  /** False when nothing was billed: the caller may use the key for another try. */
  keepIdempotencyKey: boolean
}

/** Percent of a limit that is used up, of the limits that are nearly so. */
export type UsedShares = Partial<Record<BudgetPeriod | 'connection', number>>

export type EndingTurn = {
  answerId: string
  conversationId: string
  userId: string
  end: TurnEnd
  reservation: StoredReservation
  spent: Amount
  /** Null when nothing was billed. */
  ledgerRow: NewLedgerRow | null
  limits: LimitSet
  /** Used shares below it are not worth a word. */
  leastPercent: number
  /** What the conversation keeps of the turn; undefined leaves it as it is. */
  changes: { model?: string | undefined; historyStart?: number | undefined }
}

const endTurn = prepare<ReturnType<typeof toValues>, { used: UsedShares | null }>(
  'end_turn',
  (value) => `
  with running as (
    select m.position from messages m
    where m.id = ${value('answerId', 'uuid')} and m.status = 'running'
    for update
  ),
  settled as (
    insert into spending as s (user_id, period, starts_on, reserved_nano_usd, reserved_tokens,
      spent_nano_usd, spent_tokens)
    select ${value('userId', 'uuid')}, p.period, p.starts_on,
      - ${value('reservedNanoUsd', 'bigint')}, - ${value('reservedTokens', 'bigint')},
      ${value('spentNanoUsd', 'bigint')}, ${value('spentTokens', 'bigint')}
    from running cross join (values
      ('day', ${value('day', 'date')}),
      ('month', ${value('month', 'date')})
    ) as p (period, starts_on)
    on conflict (user_id, period, starts_on) do update set
      reserved_nano_usd = s.reserved_nano_usd + excluded.reserved_nano_usd,
      reserved_tokens = s.reserved_tokens + excluded.reserved_tokens,
      spent_nano_usd = s.spent_nano_usd + excluded.spent_nano_usd,
      spent_tokens = s.spent_tokens + excluded.spent_tokens
    returning period, spent_nano_usd, spent_tokens
  ),
  settled_by_connection as (
    update connection_spending c set
      reserved_nano_usd = c.reserved_nano_usd - ${value('reservedNanoUsd', 'bigint')},
      spent_nano_usd = c.spent_nano_usd + ${value('spentNanoUsd', 'bigint')}
    from (select count(*) as books from settled) as s
    where c.session_id = ${value('connectionId', 'uuid')}
      and c.starts_on = ${value('month', 'date')} and s.books = 2
    returning c.spent_nano_usd
  ),
  shares as (
    select l.period, greatest(
      s.spent_nano_usd * 100 / nullif(l.nano_usd, 0),
      s.spent_tokens * 100 / nullif(l.tokens, 0)
    ) as percent
    from settled s join (values
      ('day', ${value('dayNanoUsd', 'bigint')}, ${value('dayTokens', 'bigint')}),
      ('month', ${value('monthNanoUsd', 'bigint')}, ${value('monthTokens', 'bigint')})
    ) as l (period, nano_usd, tokens) using (period)
    union all
    select 'connection', c.spent_nano_usd * 100 / nullif(${value('connectionNanoUsd', 'bigint')}, 0)
    from settled_by_connection c
  ),
  used as materialized (
    select jsonb_object_agg(period, percent) as shares
    from shares where percent >= ${value('leastPercent', 'integer')}
  ),
  answer as (
    update messages m set
      status = ${value('status', 'text')},
      content = ${value('content', 'bytea')},
      stop_sequence = ${value('stopSequence', 'bytea')},
      model = ${value('model', 'text')},
      token_count = ${value('tokenCount', 'integer')},
      result = ${value('result', 'jsonb')} || case
        when used.shares is null then '{}'
        else jsonb_build_object('budget_used', used.shares)
      end,
      error_code = ${value('errorCode', 'text')},
      request_id = ${value('requestId', 'text')},
      finished_at = now(),
      duration_ms = ${value('durationMs', 'integer')},
      upstream_ms = ${value('upstreamMs', 'integer')},
      replica_id = null,
      lease_expires_at = null,
      reservation = null,
      idempotency_hash = case
        when ${value('keepsIdempotencyKey', 'boolean')} then m.idempotency_hash
      end
    from running, used
    where m.id = ${value('answerId', 'uuid')}
  ),
  question as (
    update messages m set status = ${value('status', 'text')}, finished_at = now()
    from running
    where m.conversation_id = ${value('conversationId', 'uuid')}
      and m.position = running.position - 1
  ),
  booked as (
    insert into ledger (user_id, conversation_id, message_id, model, input_tokens,
      cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens,
      thinking_tokens, unit_prices, cost_nano_usd, estimated, request_id, tag, booked_on,
      session_id)
    select ${value('userId', 'uuid')}, ${value('conversationId', 'uuid')},
      ${value('answerId', 'uuid')}, ${value('model', 'text')},
      l.input_tokens, l.cache_write_5m_tokens, l.cache_write_1h_tokens, l.cache_read_tokens,
      l.output_tokens, l.thinking_tokens, l.unit_prices, l.cost_nano_usd, l.estimated,
      ${value('requestId', 'text')}, l.tag, ${value('day', 'date')}, ${value('sessionId', 'uuid')}
    from running, jsonb_to_record(${value('ledgerRow', 'jsonb')}) as l (input_tokens integer,
      cache_write_5m_tokens integer, cache_write_1h_tokens integer, cache_read_tokens integer,
      output_tokens integer, thinking_tokens integer, unit_prices jsonb, cost_nano_usd bigint,
      estimated text, tag text)
    where ${value('ledgerRow', 'jsonb')} is not null
    on conflict (message_id) do nothing
  ),
  released as (
    update conversations c set
      running_message_id = null,
      updated_at = now(),
      model = coalesce(${value('conversationModel', 'text')}, c.model),
      history_start = coalesce(${value('historyStart', 'integer')}, c.history_start),
      history_omitted = case
        when ${value('historyStart', 'integer')} is null then c.history_omitted
        else (
          select count(*) from messages earlier
          where earlier.conversation_id = c.id and earlier.status = 'complete'
            and earlier.position < ${value('historyStart', 'integer')}
        )
      end
    from running, used
    where c.id = ${value('conversationId', 'uuid')}
      and c.running_message_id = ${value('answerId', 'uuid')}
  )
  select used.shares as used from running, used`,
)

export class TurnEndingRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Ends a running turn.
   *
   * @returns undefined when it was not running any more: somebody else has ended it, and this call
   *   has changed nothing.
   */
  async end(turn: EndingTurn): Promise<{ used: UsedShares } | undefined> {
    const [row] = await endTurn(this.#db, toValues(turn))
    return row && { used: row.used ?? {} }
  }
}

function toValues(turn: EndingTurn) {
  const { end, reservation, spent, ledgerRow, limits, changes } = turn
  return {
    answerId: turn.answerId,
    conversationId: turn.conversationId,
    userId: turn.userId,
    sessionId: reservation.sessionId ?? null,
    connectionId: (reservation.isConnection && reservation.sessionId) || null,
    day: reservation.day,
    month: reservation.month,
    reservedNanoUsd: reservation.nanoUsd,
    reservedTokens: String(reservation.tokens),
    spentNanoUsd: String(spent.nanoUsd),
    spentTokens: String(spent.tokens),
    dayNanoUsd: text(limits.day.nanoUsd),
    dayTokens: text(limits.day.tokens),
    monthNanoUsd: text(limits.month.nanoUsd),
    monthTokens: text(limits.month.tokens),
    connectionNanoUsd: text(limits.connectionNanoUsd),
    leastPercent: turn.leastPercent,
    status: end.status,
    content: end.content,
    stopSequence: end.stopSequence,
    model: end.model,
    tokenCount: end.tokenCount,
    result: end.result && JSON.stringify(end.result),
    errorCode: end.errorCode,
    requestId: end.requestId,
    durationMs: end.durationMs,
    upstreamMs: end.upstreamMs,
    keepsIdempotencyKey: end.keepIdempotencyKey,
    ledgerRow: ledgerRow && JSON.stringify(toColumns(ledgerRow)),
    conversationModel: changes.model ?? null,
    historyStart: changes.historyStart ?? null,
  }
}

/** What the ledger has of its own; the rest of its line is the turn's. */
function toColumns(row: NewLedgerRow) {
  return {
    input_tokens: row.inputTokens,
    cache_write_5m_tokens: row.cacheWrite5mTokens,
    cache_write_1h_tokens: row.cacheWrite1hTokens,
    cache_read_tokens: row.cacheReadTokens,
    output_tokens: row.outputTokens,
    thinking_tokens: row.thinkingTokens,
    unit_prices: row.unitPrices,
    cost_nano_usd: row.costNanoUsd === null ? null : String(row.costNanoUsd),
    estimated: row.estimated,
    tag: row.tag,
  }
}

/** 64 bits travel as decimal text. */
const text = (value: bigint | number | null) => (value === null ? null : String(value))
