/** A turn that has begun: it is durable, and has its conversation and its budget reserved. */

import type { Effort, ResolvedModel } from '../../claude/models.ts'
import type { LimitSet, StoredReservation } from '../../repositories/billing/budgets.ts'
import type { ConversationInput } from '../conversations/conversation-context.ts'
import type { SentHistory } from '../conversations/history-window.ts'
import type { ConversationVault } from '../keys/vault.ts'

/** The caller's input. */
export type SendInput = ConversationInput & {
  maxTokens?: number | undefined
  temperature?: number | undefined
  stopSequences?: string[] | undefined
  thinking: 'off' | 'adaptive'
  effort?: Effort | undefined
  idempotencyKey?: string | undefined
  tag?: string | undefined
}

/** `signal` ends the wait. */
export type FollowOptions = {
  waitSeconds: number
  signal: AbortSignal
  onText?: ((textSoFar: string) => void) | undefined
}

/** Abort reason of the gateway's own stops: the turn ends as `interrupted`, not as `cancelled`. */
export const INTERRUPTED = Symbol('interrupted')

/** The stored hashes of an idempotency key. */
export type IdempotencyMarks = {
  hash: Buffer
  fingerprint: Buffer
  /** Finds earlier calls: those of this session, or of all sessions that read everything. */
  known: { own: Buffer; ofUser: Buffer }
}

/** A durable turn whose conversation is reserved for it. */
export type StartedTurn = {
  conversationId: string
  userId: string
  answerId: string
  vault: ConversationVault
  model: ResolvedModel
  systemPrompt: string | undefined
  /** The conversation's system prompt once the turn is delivered; undefined: unchanged. */
  newSystemPrompt: string | null | undefined
  maxTokens: number
  /** Earlier turns that go to Claude. */
  history: SentHistory
  /** How many earlier whole messages do not. */
  omitted: number
  tag: string | null
  hasIdempotencyKey: boolean
  /** Of the user's message. */
  position: number
  /** Position of the first message that was read for this turn. */
  historyStart: number
  /** The limits that its warnings refer to. */
  limits: LimitSet
  reservation: StoredReservation
}
