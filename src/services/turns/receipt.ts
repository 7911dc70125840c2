/** The records of an answer: its stored row, its ledger row, and the caller's result. */

import type { ClaudeOutcome } from '../../claude/client.ts'
import { costNanoUsd, type PriceTable, type UnitPrices } from '../../claude/prices/prices.ts'
import { totalInputTokens } from '../../claude/prices/usage.ts'
import type { Amount, StoredReservation } from '../../repositories/billing/budgets.ts'
import type { NewLedgerRow } from '../../repositories/billing/ledger.ts'
import type { TurnEnd } from '../../repositories/turns/finish-turns.ts'
import type { UsedShares } from '../../repositories/turns/finish-turns-statement.ts'
import { usedWarnings } from '../billing/budgets.ts'
import type { ConversationVault } from '../keys/vault.ts'
import { INTERRUPTED } from './turn.ts'

/** send_message's result without the text, which is sealed separately. */
export type SendReceipt = {
  conversation_id: string
  message_id: string
  status: 'running' | TurnEnd['status']
  model: string
  /** Null while the answer runs, and for one that was not delivered. */
  usage: {
    input_tokens: number
    output_tokens: number
    cache_read_input_tokens: number
    cache_creation_input_tokens: number
  } | null
  cost_usd: number | null
  stop_reason: string | null
  stop_sequence: string | null
  truncated: boolean
  refused: boolean
  refusal_category: string | null
  request_id: string | null
  history: { sent: number; omitted: number } | null
  warnings: string[]
}

export type SendResult = SendReceipt & { content: string; replayed: boolean }

/** As stored: a stop sequence is the caller's text, and sealed separately. */
export type StoredReceipt = Omit<SendReceipt, 'stop_sequence'>

export type TurnIds = {
  conversationId: string
  userId: string
  answerId: string
  tag: string | null
  reservation: StoredReservation
  /** The requested model. */
  model: { id: string }
}

export type TurnTiming = {
  durationMs: number
  /** The abort reason of the answer's signal, if any. */
  stopReason: unknown
}

const TRUNCATING = new Set(['max_tokens', 'model_context_window_exceeded'])

/**
 * The prices of the call, as of the day of its reservation. If the model that the answer names has
 * no price, that of the requested model applies, as in the reservation.
 */
function settledPrices(
  { reservation, model: asked }: TurnIds,
  { model, rate }: ClaudeOutcome,
  inputTokens: number,
  prices: PriceTable,
): UnitPrices | null {
  const at = new Date(reservation.day)
  return (
    prices.unitPrices(model, inputTokens, at, rate) ??
    prices.unitPrices(asked.id, inputTokens, at, rate) ??
    prices.dearestPrices(asked.id, reservation.likelyInputTokens, at)
  )
}

/** The ledger row of a call that was billed; null when nothing was. */
export function toLedgerRow(
  ids: TurnIds,
  outcome: ClaudeOutcome,
  prices: PriceTable,
): NewLedgerRow | null {
  const { usage } = outcome
  if (usage === null) return null
  const unitPrices = settledPrices(ids, outcome, totalInputTokens(usage), prices)
  return {
    userId: ids.userId,
    conversationId: ids.conversationId,
    messageId: ids.answerId,
    model: outcome.model,
    inputTokens: usage.inputTokens,
    cacheWrite5mTokens: usage.cacheWrite5mTokens,
    cacheWrite1hTokens: usage.cacheWrite1hTokens,
    cacheReadTokens: usage.cacheReadTokens,
    outputTokens: usage.outputTokens,
    thinkingTokens: usage.thinkingTokens,
    unitPrices,
    costNanoUsd: unitPrices === null ? null : costNanoUsd(usage, unitPrices),
    estimated: outcome.usageEstimated,
    requestId: outcome.requestId,
    tag: ids.tag,
    bookedOn: ids.reservation.day,
    sessionId: ids.reservation.sessionId ?? null,
  }
}

/** The amount that the ledger row takes from the budgets. */
export function toSpent(row: NewLedgerRow | null, outcome: ClaudeOutcome): Amount {
  if (row === null || outcome.usage === null) return { nanoUsd: 0n, tokens: 0 }
  return {
    nanoUsd: BigInt(row.costNanoUsd ?? 0),
    tokens: totalInputTokens(outcome.usage) + outcome.usage.outputTokens,
  }
}

/** What a delivered answer's result contains besides the text. */
export function toReceipt(
  ids: TurnIds,
  outcome: ClaudeOutcome,
  cost: NewLedgerRow['costNanoUsd'] | undefined,
  history: { sent: number; omitted: number },
  warnings: readonly string[],
): SendReceipt {
  const { usage, stopReason } = outcome
  const truncated = TRUNCATING.has(stopReason ?? '')
  const refused = outcome.status === 'refused'
  return {
    conversation_id: ids.conversationId,
    message_id: ids.answerId,
    status: refused ? 'refused' : 'complete',
    model: outcome.model,
    usage: {
      input_tokens: usage === null ? 0 : totalInputTokens(usage),
      output_tokens: usage?.outputTokens ?? 0,
      cache_read_input_tokens: usage?.cacheReadTokens ?? 0,
      cache_creation_input_tokens:
        usage === null ? 0 : usage.cacheWrite5mTokens + usage.cacheWrite1hTokens,
    },
    cost_usd: usage === null ? 0 : toUsd(cost),
    stop_reason: stopReason,
    stop_sequence: outcome.stopSequence,
    truncated,
    refused,
    refusal_category: outcome.refusalCategory,
    request_id: outcome.requestId,
    history,
    warnings: [...warnings, ...outcome.warnings, ...emptyAnswerWarning(outcome, truncated)],
  }
}

/** The receipt as the caller got it. */
export function fromStored(
  vault: ConversationVault,
  stored: { id: string; result: Record<string, unknown> | null; stopSequence: Buffer | null },
): SendReceipt {
  const { budget_used: used, ...receipt } = stored.result as StoredReceipt & {
    budget_used?: UsedShares
  }
  const sealed = stored.stopSequence
  const stopSequence = sealed === null ? null : vault.openStopSequence(stored.id, sealed)
  return withUsage({ ...receipt, stop_sequence: stopSequence }, used ?? {})
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
    conversation_id: row.conversationId,
    message_id: row.id,
    status: row.status,
    model: row.model,
    usage: null,
    cost_usd: null,
    stop_reason: null,
    stop_sequence: null,
    truncated: false,
    refused: false,
    refusal_category: null,
    request_id: row.requestId ?? null,
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
    result: receipt && withoutText(receipt),
    errorCode: interrupted ? 'interrupted' : (outcome.error?.code ?? null),
    requestId: outcome.requestId,
    durationMs: Math.round(durationMs),
    upstreamMs: Math.round(outcome.upstreamMs),
    keepIdempotencyKey: outcome.usage !== null || receipt !== null,
  }
}

function withoutText({ stop_sequence: _, ...rest }: SendReceipt): StoredReceipt {
  return rest
}

function emptyAnswerWarning(outcome: ClaudeOutcome, truncated: boolean): string[] {
  if (outcome.status !== 'complete' || outcome.text !== '') return []
  if (!truncated) return ['Claude ended its answer without any text.']
  return [
    'max_tokens was used up before any text, probably by thinking. Send again with a larger max_tokens.',
  ]
}

const toUsd = (nanoUsd: NewLedgerRow['costNanoUsd'] | undefined) =>
  nanoUsd === null || nanoUsd === undefined ? null : Number(nanoUsd) / 1e9
