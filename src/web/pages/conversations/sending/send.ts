import type { Request } from 'express'
import { z } from 'zod'
import type { Services } from '../../../../services/index.ts'
import { isBlank } from '../../../../text/blank-text.ts'
import { attempt, type Refusal, textField } from '../../../kit/forms.ts'
import { callerOf } from '../../../page-context.ts'
import { MESSAGE_KEY_FIELD } from './message-key.ts'
import { PAYER_FIELD, PAYER_RULE } from './payer.ts'

/** Errors that come at once, such as a refused key, are then shown beside what was typed. */
const WAIT_SECONDS = 4

/** The same as send_message has. */
export const MESSAGE_RULES = {
  message: z
    .string()
    .max(4_000_000)
    .refine((text) => !isBlank(text), 'must not be blank'),
  system_prompt: z.string().max(1_000_000),
  [PAYER_FIELD]: PAYER_RULE,
}

/** Of a form that goes on in a conversation. */
export const FORM_RULES = { message: MESSAGE_RULES.message, [PAYER_FIELD]: PAYER_RULE }

const MessageKey = z.uuid()

type Written = {
  message: string
  conversationId?: string | undefined
  systemPrompt?: string | undefined
  model?: string | undefined
  /** Sends it in place of this message, in a branch. */
  editMessageId?: string | undefined
  confirmCost?: boolean | undefined
}

/** Sends what was written. The answer goes on without the browser. */
export function send({ messages }: Pick<Services, 'messages'>, req: Request, written: Written) {
  const key = MessageKey.safeParse(textField(req, MESSAGE_KEY_FIELD))
  const idempotencyKey = key.success ? `page ${key.data}` : undefined
  const payWith = textField(req, PAYER_FIELD) || undefined
  const input = { ...written, payWith, thinking: 'off' as const, idempotencyKey }
  const { signal } = new AbortController()
  return attempt(async () => {
    const options = { waitSeconds: WAIT_SECONDS, signal }
    const { conversationId } = await messages.send(callerOf(req), input, options)
    return { conversationId }
  }, BESIDE).then(inWordsOfPage)
}

export const COST_FIELD = 'confirm_cost'
const BESIDE = { confirmation_required: COST_FIELD } as const

export const isConfirmed = (req: Request): boolean => textField(req, COST_FIELD) === 'yes'

/** The service's words are for those who call tools. */
function inWordsOfPage<R extends { done: unknown } | { refusal: Refusal }>(result: R): R {
  if (!('refusal' in result)) return result
  const { [COST_FIELD]: cost, '': whole } = result.refusal.errors
  const errors = {
    ...result.refusal.errors,
    ...(cost !== undefined && { [COST_FIELD]: costInWords(cost) }),
    ...(whole !== undefined && { '': payerInWords(whole) }),
  }
  return { ...result, refusal: { ...result.refusal, errors } }
}

function costInWords(told: string): string {
  const [tokens = 'many'] = /\d+(?= tokens)/.exec(told) ?? []
  return `You would pay for all that was said before, about ${tokens} tokens. Tick the box to send it anyway.`
}

const payerInWords = (told: string) =>
  told
    .replace('Leave pay_with out, and the team pays.', 'Send it again, and the team pays.')
    .replace(
      'Send with pay_with: "own", or choose another payer with update_conversation.',
      'Choose your own key, or another payer for the conversation.',
    )
    .replace(/: ask with request_budget(?:, naming the team)?\./, ': ask at /account/requests.')

/** As typed: browsers send every line break as two characters (HTML Standard, 4.10.21.8). */
export const typedText = (req: Request, name: string): string =>
  textField(req, name).replaceAll('\r\n', '\n')
