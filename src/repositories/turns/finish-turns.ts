/**
 * Ends a turn in one prepared statement, and so atomically: settles the reservation, stores the
 * answer, adds the ledger row and releases the conversation. For a turn that is to be forgotten it
 * also deletes the message's text, and unlists the conversation when no other turn of it is kept.
 *
 * Turns of different users that end at the same time share the statement, and nothing else.
 *
 * `running` locks the answers first, by id as leases.ts does: of concurrent calls for one answer
 * the second one finds nothing, and the rest of the statement has no effect for it. The budgets
 * follow in the order of start-turns.ts. Connections and conversations come last: every transaction
 * that locks one of them has locked its user's budgets before.
 */

import type { Kysely } from 'kysely'
import type { MessageStatus, Schema, StoredReservation } from '../../database/schema.ts'
import { Batcher, lockLimitOf } from '../../database/statements/batcher.ts'
import { inPlaces } from '../../database/statements/json-rows.ts'
import type { Amount, LimitSet } from '../billing/budgets.ts'
import type { NewLedgerRow } from '../billing/ledger.ts'
import {
  askedEndings,
  type EndingRow,
  endTurns,
  type UsedShares,
} from './finish-turns-statement.ts'

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
  /** False when nothing was billed: the caller may retry with the same key. */
  keepIdempotencyKey: boolean
}

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
  /** Used shares below this cause no warning. */
  leastPercent: number
  /** The changes to the conversation. */
  changes: ConversationChanges
  /** For a turn whose text is not kept; null for any other. */
  forgotten: ForgottenTurn | null
}

/** `isAskerLive`: whether the session that asked for it was live when it ended. */
export type EndedTurn = { used: UsedShares; isAskerLive: boolean }

/** Undefined: unchanged. `systemPrompt`: sealed; null removes it. */
export type ConversationChanges = {
  model?: string | undefined
  historyStart?: number | undefined
  systemPrompt?: Buffer | null | undefined
}

/** `title`: sealed, without the turn's text, for a conversation of which nothing else is kept. */
export type ForgottenTurn = { title: Buffer }

export class TurnEndingRepository {
  readonly #db: Kysely<Schema>
  readonly #endings = new Batcher<EndingValues, EndingRow | undefined>({
    run: (turns) => this.#endTogether(turns),
    keyOf: ({ userId }) => userId,
  })

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Ends a running turn.
   *
   * @returns undefined when it was no longer running: another call has ended it, and this one has
   *   changed nothing.
   */
  async end(turn: EndingTurn): Promise<EndedTurn | undefined> {
    const row = await this.#endings.load(toValues(turn))
    return row && { used: row.used ?? {}, isAskerLive: row.isAskerLive }
  }

  async #endTogether(turns: readonly EndingValues[]): Promise<(EndingRow | undefined)[]> {
    const lockLimit = lockLimitOf(turns)
    const rows = await endTurns(this.#db, { turns: askedEndings.toJson(turns), lockLimit })
    return inPlaces(turns, rows)
  }
}

type EndingValues = ReturnType<typeof toValues>

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
    tokenCount: toInteger(end.tokenCount),
    result: end.result,
    errorCode: end.errorCode,
    requestId: end.requestId,
    durationMs: toInteger(end.durationMs),
    upstreamMs: toInteger(end.upstreamMs),
    keepsIdempotencyKey: end.keepIdempotencyKey,
    isBilled: ledgerRow !== null,
    inputTokens: ledgerRow && toInteger(ledgerRow.inputTokens),
    outputTokens: ledgerRow && toInteger(ledgerRow.outputTokens),
    thinkingTokens: ledgerRow && toInteger(ledgerRow.thinkingTokens),
    cacheReadTokens: ledgerRow && toInteger(ledgerRow.cacheReadTokens),
    cacheWrite5mTokens: ledgerRow && toInteger(ledgerRow.cacheWrite5mTokens),
    cacheWrite1hTokens: ledgerRow && toInteger(ledgerRow.cacheWrite1hTokens),
    unitPrices: ledgerRow?.unitPrices ?? null,
    costNanoUsd: text(ledgerRow?.costNanoUsd ?? null),
    estimated: ledgerRow?.estimated ?? null,
    tag: ledgerRow?.tag ?? null,
    conversationModel: changes.model ?? null,
    historyStart: changes.historyStart ?? null,
    systemPrompt: changes.systemPrompt ?? null,
    setsSystemPrompt: changes.systemPrompt !== undefined,
    isForgotten: turn.forgotten !== null,
    blankTitle: turn.forgotten?.title ?? null,
  }
}

/** Clamps to PostgreSQL's integer: counts come from outside, and the end must be written. */
const toInteger = (count: number) =>
  Number.isNaN(count) ? 0 : Math.round(Math.min(Math.max(count, 0), 2 ** 31 - 1))

/** 64-bit values are sent as decimal text. */
const text = (value: bigint | number | string | null) => (value === null ? null : String(value))
