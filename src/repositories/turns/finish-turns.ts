/**
 * Ends a turn in one prepared statement, and so atomically: settles the reservation, stores the
 * answer, adds the ledger row and releases the conversation. For a turn that is to be forgotten it
 * also deletes the message's text, and unlists the conversation when no other turn of it is kept.
 *
 * Turns of different users that end at the same time share the statement, and nothing else.
 *
 * `running` locks the answers first, by id as leases.ts does: of concurrent calls for one answer
 * the second one finds nothing, and the rest of the statement has no effect for it. The budgets
 * follow in the order of reservation-sql.ts. Connections and conversations come last: every transaction
 * that locks one of them has locked its user's budgets before.
 */

import type { Kysely } from 'kysely'
import type { MessageStatus, Schema } from '../../database/schema.ts'
import { Batcher, lockLimitOf } from '../../database/statements/batcher.ts'
import { inPlaces } from '../../database/statements/json-rows.ts'
import {
  type Settlement,
  toInteger,
  toSettlingValues,
  toTeamValues,
  type UsedShares,
} from '../billing/reservation-values.ts'
import { TEAM_LOCKS } from '../billing/spending-rows.ts'
import {
  askedEndings,
  askedTeamEndings,
  type EndingRow,
  endTeamTurns,
  endTurns,
} from './finish-turns-statement.ts'
import { type Receipt, toStoredReceipt } from './receipts.ts'

/** How a turn ended. */
export type TurnEnd = {
  status: Exclude<MessageStatus, 'running'>
  /** The sealed answer; null when there is none. */
  content: Buffer | null
  /** Sealed. */
  stopSequence: Buffer | null
  model: string
  tokenCount: number
  receipt: Receipt | null
  errorCode: string | null
  requestId: string | null
  durationMs: number
  upstreamMs: number
  /** False when nothing was billed: the caller may retry with the same key. */
  keepIdempotencyKey: boolean
}

export type EndingTurn = Settlement & {
  answerId: string
  conversationId: string
  userId: string
  end: TurnEnd
  /** The changes to the conversation. */
  changes: ConversationChanges
  /** For a turn whose text is not kept; null for any other. */
  forgotten: ForgottenTurn | null
}

/**
 * `isAskerLive`: whether the session that asked for it was live when it ended; `hasAccess`: whether
 * the sender still had access to the conversation.
 */
export type EndedTurn = {
  used: UsedShares
  isAskerLive: boolean
  hasAccess: boolean
  /** Of the conversation's row; null where the turn no longer held it. */
  versions: { before: string; after: string } | null
}

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
    keysOf: ({ userId }) => [userId],
  })
  readonly #teamEndings = new Batcher<TeamEndingValues, EndingRow | undefined>({
    run: (turns) => this.#endForTeams(turns),
    ...TEAM_LOCKS,
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
    const { team } = turn.reservation
    const row = team
      ? await this.#teamEndings.load(
          Object.assign(toTeamValues(team, turn.limits.team), toValues(turn)),
        )
      : await this.#endings.load(toValues(turn))
    return row && toEndedTurn(row)
  }

  async #endTogether(turns: readonly EndingValues[]): Promise<(EndingRow | undefined)[]> {
    const lockLimit = lockLimitOf(turns)
    const rows = await endTurns(this.#db, { ...askedEndings.toValues(turns), lockLimit })
    return inPlaces(turns, rows)
  }

  async #endForTeams(turns: readonly TeamEndingValues[]): Promise<(EndingRow | undefined)[]> {
    const lockLimit = lockLimitOf(turns)
    const rows = await endTeamTurns(this.#db, { ...askedTeamEndings.toValues(turns), lockLimit })
    return inPlaces(turns, rows)
  }
}

const toEndedTurn = ({ used, isAskerLive, hasAccess, versionBefore, version }: EndingRow) => ({
  used: used ?? {},
  isAskerLive,
  hasAccess,
  versions: versionBefore === null ? null : { before: versionBefore, after: version },
})

type EndingValues = ReturnType<typeof toValues>
type TeamEndingValues = EndingValues & ReturnType<typeof toTeamValues>

function toValues(turn: EndingTurn) {
  const { end, changes } = turn
  return {
    answerId: turn.answerId,
    conversationId: turn.conversationId,
    userId: turn.userId,
    status: end.status,
    content: end.content,
    stopSequence: end.stopSequence,
    model: end.model,
    tokenCount: toInteger(end.tokenCount),
    result: end.receipt && toStoredReceipt(end.receipt),
    errorCode: end.errorCode,
    requestId: end.requestId,
    durationMs: toInteger(end.durationMs),
    upstreamMs: toInteger(end.upstreamMs),
    keepsIdempotencyKey: end.keepIdempotencyKey,
    conversationModel: changes.model ?? null,
    historyStart: changes.historyStart ?? null,
    systemPrompt: changes.systemPrompt ?? null,
    setsSystemPrompt: changes.systemPrompt !== undefined,
    isForgotten: turn.forgotten !== null,
    blankTitle: turn.forgotten?.title ?? null,
    ...toSettlingValues(turn),
  }
}
