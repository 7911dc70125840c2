/** The records of an answer: its stored row, and the caller's result. */

import type { ClaudeOutcome } from '../../claude/client.ts'
import { totalInputTokens } from '../../claude/prices/usage.ts'
import type { UsedShares } from '../../repositories/billing/reservation-values.ts'
import type { TurnEnd } from '../../repositories/turns/finish-turns.ts'
import type { Receipt, StoredReceipt } from '../../repositories/turns/receipts.ts'
import { usedWarnings } from '../billing/budgets.ts'
import type { PaidBy } from '../billing/paid-by.ts'
import { INTERRUPTED } from '../billing/running-calls.ts'
import type { ConversationVault } from '../keys/vault.ts'

/** send_message's result without the text, which is sealed separately. */
export type SendReceipt = Receipt & { stopSequence: string | null }

/** Who asked for an answer, and who paid. */
export type Attribution = {
  /** Username of the sender of the message that it answers; null: a former user. */
  sender: string | null
  paidBy: PaidBy | null
}

export type SendResult = SendReceipt & Attribution & { content: string; replayed: boolean }

export type TurnIds = { conversationId: string; answerId: string }

export type TurnTiming = {
  durationMs: number
  /** The abort reason of the answer's signal, if any. */
  stopReason: unknown
}

const TRUNCATING = new Set(['max_tokens', 'model_context_window_exceeded'])

/** What a delivered answer's result contains besides the text. */
export function toReceipt(
  ids: TurnIds,
  outcome: ClaudeOutcome,
  cost: bigint | null,
  history: { sent: number; omitted: number },
  warnings: readonly string[],
): SendReceipt {
  const { usage, stopReason } = outcome
  const truncated = TRUNCATING.has(stopReason ?? '')
  const refused = outcome.status === 'refused'
  return {
    conversationId: ids.conversationId,
    messageId: ids.answerId,
    status: refused ? 'refused' : 'complete',
    model: outcome.model,
    usage: {
      inputTokens: usage === null ? 0 : totalInputTokens(usage),
      outputTokens: usage?.outputTokens ?? 0,
      cacheReadTokens: usage?.cacheReadTokens ?? 0,
      cacheWriteTokens: usage === null ? 0 : usage.cacheWrite5mTokens + usage.cacheWrite1hTokens,
    },
    costNanoUsd: usage === null ? 0n : cost,
    stopReason,
    stopSequence: outcome.stopSequence,
    truncated,
    refused,
    refusalCategory: outcome.refusalCategory,
    requestId: outcome.requestId,
    history,
    warnings: [...warnings, ...outcome.warnings, ...emptyAnswerWarning(outcome, truncated)],
  }
}

/** The receipt as its sender got it. */
export function fromStored(
  vault: ConversationVault,
  stored: { id: string; receipt: StoredReceipt; stopSequence: Buffer | null },
): SendReceipt {
  const { budgetUsed, ...receipt } = stored.receipt
  const sealed = stored.stopSequence
  const stopSequence = sealed === null ? null : vault.openStopSequence(stored.id, sealed)
  return withUsage({ ...receipt, stopSequence }, budgetUsed)
}

/** The sender's own amounts and arguments. */
const NOT_TOLD = { usage: null, costNanoUsd: null, requestId: null, stopSequence: null }

/** What a reader sees of an answer that another user paid for: no amounts unless it is the owner. */
export const asReadBy = (
  receipt: SendReceipt,
  { isSender, isOwner }: { isSender: boolean; isOwner: boolean },
): SendReceipt => {
  if (isSender || receipt.status === 'running') return receipt
  // They tell how much of the sender's budget is left.
  const ofOthers = { ...receipt, warnings: [] }
  return isOwner ? ofOthers : { ...ofOthers, ...NOT_TOLD }
}

/** Adds a warning for each limit that is nearly used up. */
export const withUsage = (receipt: SendReceipt, used: UsedShares): SendReceipt => ({
  ...receipt,
  warnings: [...receipt.warnings, ...usedWarnings(used)],
})

/** For an answer that has no result yet, or will never have one. */
export function emptyReceipt(row: {
  id: string
  conversationId: string
  status: SendReceipt['status']
  model: string
  requestId?: string | null
}): SendReceipt {
  return {
    conversationId: row.conversationId,
    messageId: row.id,
    status: row.status,
    model: row.model,
    usage: null,
    costNanoUsd: null,
    stopReason: null,
    stopSequence: null,
    truncated: false,
    refused: false,
    refusalCategory: null,
    requestId: row.requestId ?? null,
    history: null,
    warnings: row.status === 'running' ? [unfinished(row.id)] : [],
  }
}

/** Tells the model that the text is incomplete, which it might take for the whole answer. */
const unfinished = (answerId: string) =>
  `unfinished: call get_message with message_id ${answerId}. The content is only the text so far.`

/** The stored end of the turn. A refused answer's text is discarded, a broken one's is kept. */
export function toTurnEnd(
  outcome: ClaudeOutcome,
  sealed: { content: Buffer | null; stopSequence: Buffer | null },
  receipt: SendReceipt | null,
  { durationMs, stopReason }: TurnTiming,
): TurnEnd {
  const interrupted = outcome.status === 'cancelled' && stopReason === INTERRUPTED
  return {
    status: interrupted ? 'interrupted' : outcome.status,
    content: sealed.content,
    stopSequence: sealed.stopSequence,
    model: outcome.model,
    tokenCount: outcome.usage?.outputTokens ?? 0,
    receipt,
    errorCode: interrupted ? 'interrupted' : (outcome.error?.code ?? null),
    requestId: outcome.requestId,
    durationMs: Math.round(durationMs),
    upstreamMs: Math.round(outcome.upstreamMs),
    keepIdempotencyKey: outcome.usage !== null || receipt !== null,
  }
}

function emptyAnswerWarning(outcome: ClaudeOutcome, truncated: boolean): string[] {
  if (outcome.status !== 'complete' || outcome.text !== '') return []
  if (!truncated) return ['Claude ended its answer without any text.']
  return [
    'max_tokens was used up before any text, probably by thinking. Send again with a larger max_tokens.',
  ]
}
