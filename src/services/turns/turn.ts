/** A turn that has begun: it is durable, and has its conversation and its budget reserved. */

import type { Effort, ResolvedModel } from '../../claude/models.ts'
import type { LimitSet, Reservation } from '../../repositories/billing/budgets.ts'
import type { PaidBy } from '../billing/paid-by.ts'
import type { ConversationInput } from '../conversations/history/conversation-context.ts'
import type { SentHistory } from '../conversations/history/history-window.ts'
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
  /** `own`, or `team:` and the id or name of a team. Left out: as the conversation says. */
  payWith?: string | undefined
  /** Accepts what the history of another user's conversation costs. */
  confirmCost?: boolean | undefined
}

/** `signal` ends the wait. */
export type FollowOptions = {
  waitSeconds: number
  signal: AbortSignal
  onText?: ((textSoFar: string) => void) | undefined
}

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
  /** The sender. */
  userId: string
  /** The sender's username; null for a turn that is closed without its caller. */
  sender: string | null
  /** Null like `sender`. */
  paidBy: PaidBy | null
  /** Whether the conversation is another user's. */
  isOthers: boolean
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
  reservation: Reservation
}
