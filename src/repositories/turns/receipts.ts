/**
 * What is stored of send_message's result (`messages.result`): the text, and the stop sequence,
 * which are sealed, are stored apart.
 *
 * A receipt without a version is version 1, and has the same fields. Builds of that time hand on
 * every field that they find, except `content`, which they overwrite with the text: so that is
 * where the version is, and clients of such a build are never sent it. This build reads the fields
 * that it knows, of any version.
 */

import type { MessageStatus } from '../../database/schema.ts'
import { parseUsd, toUsd } from '../../text/usd-amount.ts'
import type { UsedShares } from '../billing/reservation-values.ts'

export type Receipt = {
  conversationId: string
  messageId: string
  status: MessageStatus
  model: string
  /** Null while the answer runs, and for one that was not delivered. */
  usage: ReceiptUsage | null
  /** Null like `usage`, and when the price of the model is unknown. */
  costNanoUsd: bigint | null
  stopReason: string | null
  truncated: boolean
  refused: boolean
  refusalCategory: string | null
  requestId: string | null
  /** In messages. */
  history: { sent: number; omitted: number } | null
  warnings: string[]
}

/** In tokens; `inputTokens` is all input, cached or not. */
export type ReceiptUsage = {
  inputTokens: number
  outputTokens: number
  cacheReadTokens: number
  cacheWriteTokens: number
}

/** `budgetUsed`: written by the statement that ends the turn. */
export type StoredReceipt = Receipt & { budgetUsed: UsedShares }

const VERSION = 2

type StoredUsage = {
  input_tokens: number
  output_tokens: number
  cache_read_input_tokens: number
  cache_creation_input_tokens: number
}

type StoredFields = {
  conversation_id: string
  message_id: string
  status: MessageStatus
  model: string
  usage: StoredUsage | null
  cost_usd: number | null
  stop_reason: string | null
  truncated: boolean
  refused: boolean
  refusal_category: string | null
  request_id: string | null
  history: { sent: number; omitted: number } | null
  warnings: string[]
}

/** The JSON of a receipt, in the names of version 1. */
export function toStoredReceipt(receipt: Receipt) {
  return {
    content: { v: VERSION },
    conversation_id: receipt.conversationId,
    message_id: receipt.messageId,
    status: receipt.status,
    model: receipt.model,
    usage: receipt.usage && toStoredUsage(receipt.usage),
    cost_usd: toUsd(receipt.costNanoUsd),
    stop_reason: receipt.stopReason,
    truncated: receipt.truncated,
    refused: receipt.refused,
    refusal_category: receipt.refusalCategory,
    request_id: receipt.requestId,
    history: receipt.history,
    warnings: receipt.warnings,
  } satisfies StoredFields & Record<string, unknown>
}

/** The receipt of stored JSON of any version, with its fields in the order of `jsonb`. */
export function fromStoredReceipt(stored: Record<string, unknown>): StoredReceipt {
  const fields = stored as StoredFields & { budget_used?: UsedShares }
  const { cost_usd: costUsd, usage } = fields
  return {
    model: fields.model,
    usage: usage && fromStoredUsage(usage),
    status: fields.status,
    history: fields.history,
    refused: fields.refused,
    costNanoUsd: costUsd === null ? null : (parseUsd(costUsd) ?? null),
    warnings: fields.warnings,
    truncated: fields.truncated,
    messageId: fields.message_id,
    requestId: fields.request_id,
    stopReason: fields.stop_reason,
    conversationId: fields.conversation_id,
    refusalCategory: fields.refusal_category,
    budgetUsed: fields.budget_used ?? {},
  }
}

const toStoredUsage = (usage: ReceiptUsage): StoredUsage => ({
  input_tokens: usage.inputTokens,
  output_tokens: usage.outputTokens,
  cache_read_input_tokens: usage.cacheReadTokens,
  cache_creation_input_tokens: usage.cacheWriteTokens,
})

const fromStoredUsage = (usage: StoredUsage): ReceiptUsage => ({
  inputTokens: usage.input_tokens,
  outputTokens: usage.output_tokens,
  cacheReadTokens: usage.cache_read_input_tokens,
  cacheWriteTokens: usage.cache_creation_input_tokens,
})
