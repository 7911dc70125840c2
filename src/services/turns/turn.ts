/** A turn that has begun: durable, and its conversation and its share of the budget reserved. */

import type { Effort, ResolvedModel } from '../../claude/models.ts'
import type { LimitSet, StoredReservation } from '../../repositories/billing/budgets.ts'
import type { ConversationInput } from '../conversations/conversation-context.ts'
import type { SentHistory } from '../conversations/history-window.ts'
import type { ConversationVault } from '../keys/vault.ts'

/** What a caller sends. */
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

/** Why an answer was stopped from inside: its turn ends as `interrupted`, not as `cancelled`. */
export const INTERRUPTED = Symbol('interrupted')

/** What may be stored of an idempotency key. */
export type IdempotencyMarks = {
  hash: Buffer
  fingerprint: Buffer
  /** Under which earlier calls may be found: of this session alone, or of all that read everything. */
  known: { own: Buffer; ofUser: Buffer }
}

/** A turn that is durable, and whose conversation is reserved for it. */
export type StartedTurn = {
  conversationId: string
  userId: string
  answerId: string
  vault: ConversationVault
  model: ResolvedModel
  systemPrompt: string | undefined
  /** What the conversation's is to be once the turn is delivered; undefined: as it is. */
  newSystemPrompt: string | null | undefined
  maxTokens: number
  /** Earlier turns that go to Claude. */
  history: SentHistory
  /** Earlier whole messages that do not. */
  omitted: number
  tag: string | null
  hasIdempotencyKey: boolean
  /** Of the user's message. */
  position: number
  /** Of the first message that was read for this turn. */
  historyStart: number
  /** What its cost is measured by, for a word of warning. */
  limits: LimitSet
  reservation: StoredReservation
}
