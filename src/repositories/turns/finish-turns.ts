/**
 * How a turn ends, in one prepared statement and hence whole or not at all: the reservation becomes
 * what was really spent, the answer is stored, the ledger gets its line, the conversation is free.
 * Of a turn that is to be forgotten the message's text goes too, and the conversation leaves the list
 * when nothing is kept of any other turn of it.
 *
 * Turns of different users that end at the same moment share the statement, and nothing else.
 *
 * `running` locks the answers first, by id as leases.ts does: of two who end one at once the second
 * finds nothing, and then nothing else of the statement happens for it either. The budgets follow in
 * the order of start-turns.ts. Connections and conversations come last: whoever locks one of them
 * has locked its user's budgets.
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
  /** False when nothing was billed: the caller may use the key for another try. */
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
  /** Used shares below it are not worth a word. */
  leastPercent: number
  /** What the conversation keeps of the turn. */
  changes: ConversationChanges
  /** For a turn of which no text is kept; null for any other. */
  forgotten: ForgottenTurn | null
}

/** `isAskerLive`: whether the session that asked for it lived when it ended. */
export type EndedTurn = { used: UsedShares; isAskerLive: boolean }

/** Undefined leaves it as it is. `systemPrompt`: sealed; null removes it. */
export type ConversationChanges = {
  model?: string | undefined
  historyStart?: number | undefined
  systemPrompt?: Buffer | null | undefined
}

/** `title`: sealed, without text of the turn's, for a conversation of which nothing else is kept. */
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
   * @returns undefined when it was not running any more: somebody else has ended it, and this call
   *   has changed nothing.
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

/** What PostgreSQL's integers hold: counts come from elsewhere, and an end has to be written. */
const toInteger = (count: number) =>
  Number.isNaN(count) ? 0 : Math.round(Math.min(Math.max(count, 0), 2 ** 31 - 1))

/** 64 bits travel as decimal text. */
const text = (value: bigint | number | string | null) => (value === null ? null : String(value))
