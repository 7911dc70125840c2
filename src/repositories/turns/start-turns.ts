/**
 * Begins a turn in one prepared statement, and so atomically: reserves the worst case in every
 * budget, creates or claims the conversation, and inserts both messages. Turns of different users
 * that begin at the same time share the statement, and nothing else: each has its own verdict, and
 * an error of one is that turn's alone.
 *
 * What was read before (load-turn-context.ts) may have changed, so everything that decides is
 * checked again under locks. The lock order: the sessions that ask, by id, which then cannot end
 * before their turns have begun (authority.ts); the budgets, by user and day before month; the
 * connections' budgets; the storage; the conversations. All senders use this order, and the end of
 * a turn (finish-turns.ts) a compatible one, which prevents deadlocks. A `for update` returns the
 * newest version of a row, regardless of the snapshot (PostgreSQL documentation: Read Committed
 * Isolation Level). `verdict` uses only those rows, and every write requires that it is `begun`.
 */

import type { Kysely } from 'kysely'
import { Alone } from '../../database/alone.ts'
import type { Schema } from '../../database/schema.ts'
import { Batcher, lockLimitOf } from '../../database/statements/batcher.ts'
import type { LimitSet, PayingPeriods } from '../billing/budgets.ts'
import {
  askedTurns,
  type BeginningRow,
  beginTurns,
  ensureSpendingRows,
  type Limited,
  type StartOutcome,
} from './start-turns-statement.ts'

/** A turn as it begins: the user's message, and a placeholder for the answer. */
export type NewTurn = {
  userId: string
  sessionId: string
  /** Whether it may continue conversations that other sessions began. */
  readsAll: boolean
  /** Whether the session is an MCP client's connection, which has its own budget. */
  isConnection: boolean
  conversationId: string
  /** For a new conversation; null to continue one of the user's. */
  opening: { dataKey: Buffer; model: string } | null
  /** Sealed, for a conversation without one; null to keep the existing title. */
  title: Buffer | null
  /** The number of messages when the history was read; 0 for a new conversation. */
  messageCount: number
  userMessageId: string
  answerId: string
  content: Buffer
  tokenCount: number
  model: string
  idempotencyHash: Buffer | null
  requestFingerprint: Buffer | null
  replicaId: string
  leaseSeconds: number
  tag: string | null
  periods: PayingPeriods
  limits: LimitSet
  worst: WorstCaseCost
  storage: StorageDemand
}

/** `newBytes`: sealed bytes of the turn without its answer. */
export type StorageDemand = {
  newBytes: number
  /** Null: no limit. */
  limitBytes: number | null
}

/** The most that an answer may cost. */
export type WorstCaseCost = {
  inputTokens: number
  inputNanoUsd: bigint
  /** Per output token; null when the price is unknown: then limits in USD do not apply. */
  outputNanoUsd: number | null
  maxTokens: number
  /** With less room than this the turn is refused. */
  leastTokens: number
}

export class TurnBeginningRepository {
  readonly #db: Kysely<Schema>
  readonly #beginnings = new Batcher<BeginningValues, BeginningRow>({
    run: (turns) => this.#beginTogether(turns),
    keyOf: ({ userId }) => userId,
  })
  readonly #alone = new Alone()

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** @throws the database's error for a second turn with the same idempotency key. */
  async begin(turn: NewTurn): Promise<StartOutcome> {
    const values = toValues(turn)
    const first = await this.#beginnings.load(values)
    if (first.outcome !== 'unprepared') return toStartOutcome(first)
    await this.#alone.run(values.userId, false, () => ensureSpendingRows(this.#db, values))
    return toStartOutcome(await this.#beginnings.load(values))
  }

  async #beginTogether(turns: readonly BeginningValues[]): Promise<BeginningRow[]> {
    const lockLimit = lockLimitOf(turns)
    return beginTurns(this.#db, { turns: askedTurns.toJson(turns), lockLimit })
  }
}

/** The parameters of the statements. */
export type BeginningValues = ReturnType<typeof toValues>

function toValues(turn: NewTurn) {
  const { periods, limits, worst, opening, storage } = turn
  const connectionId = turn.isConnection ? turn.sessionId : null
  return {
    userId: turn.userId,
    sessionId: turn.sessionId,
    readsAll: turn.readsAll,
    connectionId,
    /** How many rows of spending apply to the turn. */
    books: connectionId === null ? 2 : 3,
    conversationId: turn.conversationId,
    isNew: opening !== null,
    dataKey: opening?.dataKey ?? null,
    title: turn.title,
    conversationModel: opening?.model ?? null,
    messageCount: turn.messageCount,
    userMessageId: turn.userMessageId,
    answerId: turn.answerId,
    content: turn.content,
    tokenCount: turn.tokenCount,
    model: turn.model,
    idempotencyHash: turn.idempotencyHash,
    requestFingerprint: turn.requestFingerprint,
    replicaId: turn.replicaId,
    leaseSeconds: turn.leaseSeconds,
    tag: turn.tag,
    day: periods.day,
    month: periods.month,
    dayNanoUsd: text(limits.day.nanoUsd),
    dayTokens: text(limits.day.tokens),
    monthNanoUsd: text(limits.month.nanoUsd),
    monthTokens: text(limits.month.tokens),
    connectionNanoUsd: text(limits.connectionNanoUsd),
    inputTokens: String(worst.inputTokens),
    inputNanoUsd: String(worst.inputNanoUsd),
    outputNanoUsd: text(worst.outputNanoUsd),
    maxTokens: String(worst.maxTokens),
    leastTokens: String(worst.leastTokens),
    newBytes: String(storage.newBytes),
    limitBytes: text(storage.limitBytes),
  }
}

/** 64-bit values are sent as decimal text. */
const text = (value: bigint | number | null) => (value === null ? null : String(value))

function toStartOutcome({
  outcome,
  maxTokens,
  nanoUsd,
  tokens,
  limitedBy,
}: BeginningRow): StartOutcome {
  if (outcome === 'begun') return { outcome, maxTokens, nanoUsd, tokens: Number(tokens) }
  if (outcome === 'exceeded') return { outcome, limited: toLimited(limitedBy) }
  if (outcome === 'unprepared') throw new Error('begin_turn: the rows of spending are not there')
  return { outcome }
}

const toLimited = (limitedBy: BeginningRow['limitedBy']): Limited =>
  limitedBy === 'connection'
    ? { period: 'month', by: 'connection' }
    : { period: limitedBy, by: 'user' }
