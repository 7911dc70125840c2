/**
 * How a turn begins, in one prepared statement and hence whole or not at all: the worst case is
 * reserved of every budget, the conversation is made or taken, and both messages are inserted.
 * Turns of different users that begin at the same moment share the statement, and nothing else:
 * each has a verdict of its own, and one that the database refuses is refused alone.
 *
 * What was read before (load-turn-context.ts) may have changed since. So everything that decides is
 * looked at again here, under locks: the sessions that ask first, by id, which cannot be ended until
 * their turns have begun (authority.ts); then the budgets, by user and day before month, then the
 * connections', what is stored, then the conversations. All senders lock in this order, and the end of a turn
 * (finish-turns.ts) in an order that fits it, so no two wait for each other. A `for update` returns
 * the newest version of a row, whatever the statement's snapshot says (PostgreSQL documentation:
 * Read Committed Isolation Level); `verdict` is made of those alone, and every write is made only if
 * it says `begun`.
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

/** A turn as it begins: the user's message, and the place of the answer that is to come. */
export type NewTurn = {
  userId: string
  sessionId: string
  /** Whether it may go on with conversations that other sessions began. */
  readsAll: boolean
  /** Whether the session is an MCP client's connection, which has books of its own. */
  isConnection: boolean
  conversationId: string
  /** For a new conversation; null to go on with one of the user's. */
  opening: { dataKey: Buffer; model: string } | null
  /** Sealed, for a conversation that has none yet; null to keep the one it has. */
  title: Buffer | null
  /** What the conversation held when its history was read. 0 for a new one. */
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

/** `newBytes`: what is sealed of the turn before its answer. */
export type StorageDemand = {
  newBytes: number
  /** Null: no limit. */
  limitBytes: number | null
}

/** What an answer may cost at most. */
export type WorstCaseCost = {
  inputTokens: number
  inputNanoUsd: bigint
  /** Of one token of output; null when the price is not known: then limits in USD do not count. */
  outputNanoUsd: number | null
  maxTokens: number
  /** With less room than this the turn does not begin. */
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

  /** @throws what the database throws for a second turn with one idempotency key. */
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

/** What the statements take, as they take it. */
export type BeginningValues = ReturnType<typeof toValues>

function toValues(turn: NewTurn) {
  const { periods, limits, worst, opening, storage } = turn
  const connectionId = turn.isConnection ? turn.sessionId : null
  return {
    userId: turn.userId,
    sessionId: turn.sessionId,
    readsAll: turn.readsAll,
    connectionId,
    /** How many rows of spending the turn answers to. */
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

/** 64 bits travel as decimal text. */
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
