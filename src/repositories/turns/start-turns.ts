/**
 * Begins a turn in one prepared statement, and so atomically: reserves the worst case in every
 * budget, creates or claims the conversation, and inserts both messages. Turns of different users
 * that begin at the same time share the statement, and nothing else: each has its own verdict, and
 * an error of one is that turn's alone.
 *
 * What was read before (load-turn-context.ts) may have changed, so everything that decides is
 * checked again under locks: the sessions and budgets in the order of reservation-sql.ts; the
 * conversations; the grants; the teams that they are to, and the senders' memberships; the team that
 * pays; the storage of the conversations' owners. All senders use this order, and the end of a turn
 * (finish-turns.ts) a compatible one, which prevents deadlocks. `verdict` uses only those rows, and
 * every write requires that it is `begun`.
 *
 * A turn of which nothing was read, but all is remembered, begins only where the versions of what is
 * remembered are those of the rows. Its request is counted too: that counter is locked last.
 */

import type { Kysely } from 'kysely'
import type { Schema, StoredTeamPayer } from '../../database/schema.ts'
import { Batcher, lockLimitOf } from '../../database/statements/batcher.ts'
import { toConversationRef } from '../access/conversation-ref.ts'
import type { Count, UserCounter } from '../access/session-checks.ts'
import { toText } from '../billing/budgets.ts'
import {
  type GrantRow,
  type ReservationRequest,
  toGrant,
  toLimited,
  toReservingValues,
  toTeamValues,
  withPoolAhead,
} from '../billing/reservation-values.ts'
import { loadUncontended, SpendingRows, TEAM_LOCKS } from '../billing/spending-rows.ts'
import { violatedConstraint } from '../constraints.ts'
import type { Versions } from './load-turn-context.ts'
import {
  askedRememberedTurns,
  askedTeamTurns,
  askedTurns,
  type BeginningRow,
  beginRememberedTurns,
  beginTeamTurns,
  beginTurns,
  type RememberedBeginningRow,
  type StartOutcome,
} from './start-turns-statement.ts'

/** A turn as it begins: the user's message, and a placeholder for the answer. */
export type NewTurn = ReservationRequest & {
  /** Whether it may continue conversations that other sessions began. */
  readsAll: boolean
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
  /** Of the Anthropic key that pays. */
  keyLastFour: string | null
  /** Whether the call names its payer; else that of the conversation, as read, was taken. */
  isPayerNamed: boolean
  /** The team that pays in the conversation, as read; null: each sender. */
  conversationPayer: string | null
  storage: StorageDemand
}

/** `newBytes`: sealed bytes of the turn without its answer. */
export type StorageDemand = {
  newBytes: number
  /** Null: no limit. */
  limitBytes: number | null
}

/** Of the owner's keys, and of every sender's. */
const OF_IDEMPOTENCY = ['messages_idempotency', 'messages_idempotency_of_sender']

/** A turn of which nothing was read before. */
export type RememberedTurn = NewTurn & {
  /** Of what it was drafted from. */
  versions: Versions
  /** Of the team's purse; null: the sender pays. */
  purseVersion: string | null
  counter: Required<UserCounter>
}

/** `conversation_stale`: something has changed the conversation meanwhile. */
export type NotBegunEarly = 'conversation_stale' | 'not_begun'

export type BegunRemembered = {
  started: Extract<StartOutcome, { outcome: 'begun' }>
  /** Of the user's requests, this one included. */
  count: Count | null
  isUseToBeNoted: boolean
}

export class TurnBeginningRepository {
  readonly #db: Kysely<Schema>
  readonly #beginnings = new Batcher<BeginningValues, BeginningRow>({
    run: (turns) => this.#beginTogether(turns),
    keysOf: ({ userId }) => [userId],
  })
  readonly #teamBeginnings = new Batcher<TeamBeginningValues, RememberedBeginningRow>({
    run: (turns) => this.#beginForTeams(turns),
    ...TEAM_LOCKS,
  })
  readonly #rememberedBeginnings = new Batcher<RememberedValues, RememberedBeginningRow>({
    run: (turns) => this.#beginRememberedTogether(turns),
    keysOf: ({ userId }) => [userId],
  })
  readonly #spendingRows: SpendingRows

  constructor(db: Kysely<Schema>) {
    this.#db = db
    this.#spendingRows = new SpendingRows(db)
  }

  async begin(turn: NewTurn): Promise<StartOutcome> {
    try {
      const { team } = turn
      const row = team ? this.#beginForTeam({ ...turn, team }) : this.#begin(toValues(turn))
      return toStartOutcome(await row, turn)
    } catch (error) {
      if (!OF_IDEMPOTENCY.includes(violatedConstraint(error) ?? '')) throw error
      return { outcome: 'duplicate_key' }
    }
  }

  /**
   * Begins a turn whose session, sender and conversation are as remembered, and counts its request.
   *
   * @returns the reason as a word when it has not begun: nothing has changed then.
   */
  async beginRemembered(turn: RememberedTurn): Promise<BegunRemembered | NotBegunEarly> {
    const { team } = turn
    const row = team
      ? await loadUncontended(
          this.#teamBeginnings,
          toTeamTurn(team, turn, toRememberedValues(turn)),
        )
      : await this.#rememberedBeginnings.load(toRememberedValues(turn))
    if (row.outcome === 'stale') return 'conversation_stale'
    if (row.outcome !== 'begun') return 'not_begun'
    const { hits, resetAt, isUseToBeNoted } = row
    const count = hits === null || resetAt === null ? null : { hits, resetAt }
    return { started: toBegun(row, turn), count, isUseToBeNoted }
  }

  async #beginRememberedTogether(turns: readonly RememberedValues[]) {
    const lockLimit = lockLimitOf(turns)
    return beginRememberedTurns(this.#db, { ...askedRememberedTurns.toValues(turns), lockLimit })
  }

  async #begin(values: BeginningValues): Promise<BeginningRow> {
    return this.#spendingRows.prepared(values, () => this.#beginnings.load(values))
  }

  async #beginForTeam(turn: NewTurn & { team: StoredTeamPayer }): Promise<RememberedBeginningRow> {
    const values = toTeamTurn(turn.team, turn, Object.assign(toValues(turn), READ_BEFORE))
    return this.#spendingRows.prepared(values, () => loadUncontended(this.#teamBeginnings, values))
  }

  async #beginForTeams(turns: readonly TeamBeginningValues[]): Promise<RememberedBeginningRow[]> {
    const lockLimit = lockLimitOf(turns)
    return beginTeamTurns(this.#db, {
      ...askedTeamTurns.toValues(withPoolAhead(turns)),
      lockLimit,
    })
  }

  async #beginTogether(turns: readonly BeginningValues[]): Promise<BeginningRow[]> {
    const lockLimit = lockLimitOf(turns)
    return beginTurns(this.#db, { ...askedTurns.toValues(turns), lockLimit })
  }
}

/** The parameters of the statements. */
export type BeginningValues = ReturnType<typeof toValues>
type TeamBeginningValues = BeginningValues & Remembered & ReturnType<typeof toTeamValues>

type RememberedValues = ReturnType<typeof toRememberedValues>

/** What a statement compares and counts for a turn of which nothing was read; null for any other. */
type Remembered = {
  senderVersion: string | null
  conversationVersion: string | null
  purseVersion: string | null
  counterKey: string | null
  windowSeconds: number | null
  requestLimit: number | null
}

const READ_BEFORE: Remembered = {
  senderVersion: null,
  conversationVersion: null,
  purseVersion: null,
  counterKey: null,
  windowSeconds: null,
  requestLimit: null,
}

const toTeamTurn = (
  team: StoredTeamPayer,
  { limits }: NewTurn,
  values: BeginningValues & Remembered,
): TeamBeginningValues => Object.assign(toTeamValues(team, limits.team), values)

const toRememberedValues = (turn: RememberedTurn) => ({
  senderVersion: turn.versions.sender,
  conversationVersion: turn.versions.conversation,
  purseVersion: turn.purseVersion,
  counterKey: `${turn.counter.keyPrefix}${turn.userId}`,
  windowSeconds: turn.counter.windowMs / 1000,
  requestLimit: turn.counter.limit,
  ...toValues(turn),
})

function toValues(turn: NewTurn) {
  const { opening, storage } = turn
  return {
    readsAll: turn.readsAll,
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
    keyLastFour: turn.keyLastFour,
    isPayerNamed: turn.isPayerNamed,
    conversationPayer: turn.conversationPayer,
    newBytes: String(storage.newBytes),
    limitBytes: toText(storage.limitBytes),
    ...toReservingValues(turn),
  }
}

function toBegun(
  row: GrantRow & { version: string },
  { conversationId: id, userId: sealedFor, opening }: NewTurn,
) {
  const ref = opening ? toConversationRef({ id, sealedFor, dataKey: opening.dataKey }) : undefined
  return { outcome: 'begun' as const, version: row.version, ref, ...toGrant(row) }
}

function toStartOutcome(row: BeginningRow | RememberedBeginningRow, turn: NewTurn): StartOutcome {
  const { outcome } = row
  if (outcome === 'begun') return toBegun(row, turn)
  if (outcome === 'spent' || outcome === 'held') return { outcome, limited: toLimited(row) }
  if (outcome === 'unprepared' || outcome === 'contended' || outcome === 'not_begun') {
    throw new Error(`begin_turn: ${outcome}`)
  }
  return { outcome }
}
