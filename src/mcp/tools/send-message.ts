import { z } from 'zod'
import { readsContext } from '../../services/access/read-ahead.ts'
import { payerNamedIn } from '../../services/billing/teams/payer-choice.ts'
import type { SendInput } from '../../services/turns/turn.ts'
import { isBlank } from '../../text/blank-text.ts'
import { defineTool, storableText } from '../definitions/tool.ts'
import { answer, shownAnswer, waitSeconds } from './answer.ts'

const input = z.object({
  message: z
    .string()
    .max(4_000_000)
    .refine((text) => !isBlank(text), 'must not be blank')
    .describe('What to say to Claude, as plain text. Nothing is added to it.'),
  conversation_id: z
    .uuid('must be a conversation id, as send_message or get_conversations returned it')
    .optional()
    .describe(
      'Continue this conversation, which is yours or to which you may contribute. Left out: begin a new one.',
    ),
  edit_message_id: z
    .uuid('must be a message id of this conversation')
    .optional()
    .describe(
      'Send message in place of this one, which a person sent: in a new branch with all that came before it. The same text again has Claude answer again.',
    ),
  model: storableText
    .trim()
    .min(1)
    .max(128)
    .optional()
    .describe(
      "Model id, or sonnet, opus, haiku. Left out: the conversation's model, or the gateway's default.",
    ),
  max_tokens: z.number().int().min(1).max(1_000_000).optional().describe('Longest answer.'),
  temperature: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('Only older models take it; dropped with a warning for the others.'),
  system_prompt: z
    .string()
    .max(1_000_000)
    .optional()
    .describe(
      'Instructions for Claude, kept for the rest of the conversation once Claude has answered. A blank text removes them.',
    ),
  stop_sequences: z
    .array(
      z
        .string()
        .refine((text) => !isBlank(text), 'must not be blank')
        .max(1000),
    )
    .max(64)
    .optional()
    .describe('Texts at which Claude stops.'),
  thinking: z
    .enum(['off', 'adaptive'])
    .default('off')
    .describe('adaptive lets Claude think before it answers; thinking counts as output.'),
  effort: z
    .enum(['low', 'medium', 'high', 'xhigh', 'max'])
    .optional()
    .describe('How much work Claude puts in, where the model has it.'),
  idempotency_key: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe(
      'Any text of your choice for this one message. A repeat with the same key returns the stored answer and is not billed again.',
    ),
  tag: storableText
    .trim()
    .min(1)
    .max(64)
    .optional()
    .describe('Your label for the cost of this message, for get_usage. Stored in clear.'),
  pay_with: z
    .string()
    .max(128)
    .regex(/^(own|team:.+)$/, 'must be own, or team: and the id or name of a team of yours')
    .optional()
    .describe(
      'Whose Anthropic key pays: own, or team: and the id or name of a team of yours. Left out: as the payer of the conversation says, else own. Name a team only if the user asked for it.',
    ),
  confirm_cost: z
    .boolean()
    .optional()
    .describe(
      "Only after confirmation_required: true pays for the long history of another user's conversation.",
    ),
  wait_seconds: waitSeconds
    .default(50)
    .describe(
      'How long to wait for the answer, 0 to 300. If it takes longer, status is running: call get_message with message_id. Keep it below the time after which your client gives up (claude.ai: 60).',
    ),
})

export const sendMessage = defineTool({
  name: 'send_message',
  title: 'Send a message to Claude',
  description:
    'Send a message to Claude and return the answer. Without conversation_id a new conversation begins; with it Claude sees what was said before. Billed to your own Anthropic key, unless pay_with or the payer of the conversation names a team.',
  access: 'user',
  scope: 'messages:send',
  hints: { readOnly: false, destructive: false, idempotent: false, openWorld: true },
  isHeavy: true,
  streams: true,
  input,
  output: z.object({
    ...answer,
    replayed: z.boolean().describe('The answer to an earlier call with this idempotency_key.'),
  }),
  announce: (args) => readsContext(args.conversation_id, payerNamedIn(args.pay_with)),
  startEarly: (args, { services, token, mayStart }) =>
    services.earlySends.start(token, toInput(args), mayStart),
  async run(args, { caller, services, signal, progress, early }) {
    const options = { waitSeconds: args.wait_seconds, signal, onText: progress, early }
    return shownAnswer(await services.messages.send(caller, toInput(args), options))
  },
})

const toInput = (args: z.output<typeof input>): SendInput => ({
  message: args.message,
  conversationId: args.conversation_id,
  editMessageId: args.edit_message_id,
  model: args.model,
  maxTokens: args.max_tokens,
  temperature: args.temperature,
  systemPrompt: args.system_prompt,
  stopSequences: args.stop_sequences,
  thinking: args.thinking,
  effort: args.effort,
  idempotencyKey: args.idempotency_key,
  tag: args.tag,
  confirmCost: args.confirm_cost,
  payWith: args.pay_with,
})
