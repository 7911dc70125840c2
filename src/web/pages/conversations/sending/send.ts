import type { Request } from 'express'
import { z } from 'zod'
import type { Services } from '../../../../services/index.ts'
import { isBlank } from '../../../../text/blank-text.ts'
import { attempt, textField } from '../../../kit/forms.ts'
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
  }, BESIDE)
}

export const COST_FIELD = 'confirm_cost'
const BESIDE = { confirmation_required: COST_FIELD } as const

export const isConfirmed = (req: Request): boolean => textField(req, COST_FIELD) === 'yes'

/** As typed: browsers send every line break as two characters (HTML Standard, 4.10.21.8). */
export const typedText = (req: Request, name: string): string =>
  textField(req, name).replaceAll('\r\n', '\n')
