import { z } from 'zod'
import { cutText, MOST_TEXT_BYTES } from '../../services/conversations/cut-text.ts'
import type { AnswerView } from '../../services/turns/answers/follow-answer.ts'
import type { SendResult } from '../../services/turns/receipt.ts'
import { toUsd } from '../../text/usd-amount.ts'

import { paidBy, shownPayer } from './paid-by.ts'

const tokens = z.number().int()

export const waitSeconds = z.number().min(0).max(300)

/** An answer as returned by send_message, get_message and cancel_message. */
export const answer = {
  conversation_id: z.uuid(),
  message_id: z.uuid().describe("Of Claude's answer."),
  status: z
    .enum(['running', 'complete', 'refused', 'failed', 'cancelled', 'interrupted'])
    .describe('running: content is the text so far; get_message has the rest.'),
  content: z.string().describe("Claude's answer."),
  next_offset: z
    .number()
    .int()
    .optional()
    .describe('Only when content was cut: get_message with this as offset has the rest.'),
  model: z.string(),
  usage: z
    .object({
      input_tokens: tokens.describe('All input, cached or not.'),
      output_tokens: tokens,
      cache_read_input_tokens: tokens.describe('Of the input, read from the prompt cache.'),
      cache_creation_input_tokens: tokens.describe('Of the input, written to the prompt cache.'),
    })
    .nullable()
    .describe('null until the answer is complete, and when it is not yours to know.'),
  cost_usd: z
    .number()
    .nullable()
    .describe(
      'null until the answer is complete, when the price of the model is not known, and when it is not yours to know.',
    ),
  stop_reason: z.string().nullable(),
  stop_sequence: z.string().nullable(),
  truncated: z.boolean().describe('The answer was cut at max_tokens or by the context window.'),
  refused: z.boolean().describe('Claude declined; the turn is not part of the history.'),
  refusal_category: z.string().nullable(),
  sender: z
    .string()
    .nullable()
    .describe(
      'Username of the user who sent the message that this answers; null: a former user, or copied from a link.',
    ),
  paid_by: paidBy.describe(
    "Whose Anthropic key paid: own is the sender's. null: not yours to know, or not known.",
  ),
  request_id: z.string().nullable().describe("Anthropic's id of the call."),
  history: z
    .object({
      sent: z.number().int().describe('Earlier messages that Claude saw.'),
      omitted: z
        .number()
        .int()
        .describe('Earlier messages left out because of their number or length.'),
    })
    .nullable(),
  warnings: z.array(z.string()),
}

/**
 * An answer from `offset` on, whole unless it exceeds the size limit of a result: clients expect
 * the answer they paid for in one piece, and max_tokens limits it.
 */
export function shownAnswer<A extends AnswerFields>(view: A, offset = 0) {
  const { text: content, nextOffset } = cutText(view.content, offset, MOST_TEXT_BYTES)
  return {
    ...toWireNames(view),
    usage: view.usage && toUsage(view.usage),
    paid_by: shownPayer(view.paidBy),
    cost_usd: toUsd(view.costNanoUsd),
    content,
    ...(nextOffset === null ? {} : { next_offset: nextOffset }),
  }
}

type AnswerFields = Omit<SendResult, 'replayed'>

const WIRE_NAMES = {
  conversationId: 'conversation_id',
  messageId: 'message_id',
  status: 'status',
  content: 'content',
  model: 'model',
  usage: 'usage',
  costNanoUsd: 'cost_usd',
  stopReason: 'stop_reason',
  stopSequence: 'stop_sequence',
  truncated: 'truncated',
  refused: 'refused',
  refusalCategory: 'refusal_category',
  requestId: 'request_id',
  history: 'history',
  warnings: 'warnings',
  sender: 'sender',
  paidBy: 'paid_by',
  errorCode: 'error_code',
  replayed: 'replayed',
} as const satisfies Record<keyof (SendResult & AnswerView), string>

type WireNamed<A> = {
  [Name in keyof A & keyof typeof WIRE_NAMES as (typeof WIRE_NAMES)[Name]]: A[Name]
}

/** Keeps the order of the fields. */
const toWireNames = <A extends object>(view: A) =>
  Object.fromEntries(
    Object.entries(view).map(([name, value]) => [
      WIRE_NAMES[name as keyof typeof WIRE_NAMES],
      value,
    ]),
  ) as WireNamed<A>

const toUsage = (usage: NonNullable<SendResult['usage']>) => ({
  input_tokens: usage.inputTokens,
  output_tokens: usage.outputTokens,
  cache_read_input_tokens: usage.cacheReadTokens,
  cache_creation_input_tokens: usage.cacheWriteTokens,
})
