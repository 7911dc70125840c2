import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { isBlank } from '../../text/blank-text.ts'
import { defineTool } from '../definitions/tool.ts'
import { conversation, conversationId, PAYERS, shownConversation } from './conversation.ts'

/** What can be changed. */
const FIELDS = ['title', 'archived', 'hidden', 'system_prompt', 'payer', 'payers', 'team'] as const

export const updateConversation = defineTool({
  name: 'update_conversation',
  title: 'Change a conversation',
  description:
    'Rename a conversation of yours, archive it or take it back, replace its system prompt, or choose who pays. What is left out stays as it is. One that is shared with you can only be archived or hidden, in your own lists.',
  access: 'user',
  scope: 'conversations:write',
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: false },
  input: z.object({
    conversation_id: conversationId.describe('The conversation.'),
    title: z
      .string()
      .trim()
      .max(200)
      .refine((text) => !isBlank(text), 'must not be blank')
      .optional()
      .describe('The new title, up to 200 characters.'),
    archived: z
      .boolean()
      .optional()
      .describe('true takes it out of the default list; a message sent in it takes it back.'),
    hidden: z
      .boolean()
      .optional()
      .describe(
        'Of one that is shared with you: true takes it out of all your lists and searches. get_shares still has it; false takes it back.',
      ),
    system_prompt: z
      .string()
      .max(1_000_000)
      .nullable()
      .optional()
      .describe('Instructions for Claude from now on; null or a blank text removes them.'),
    payer: z
      .string()
      .max(128)
      .regex(/^(sender|team:.+)$/, 'must be sender, or team: and the id or name of a team of yours')
      .optional()
      .describe(
        'Who pays for messages without pay_with: sender, or team: and the id or name of a team, for its members. Name a team only if the user asked for it.',
      ),
    payers: z
      .enum(PAYERS)
      .optional()
      .describe("team_only: no other key than that team's may be used in it."),
    team: z
      .string()
      .trim()
      .min(1)
      .max(128)
      .nullable()
      .optional()
      .describe('The team it belongs to, which may set who pays; null: none.'),
  }),
  output: z.object({
    ...conversation,
    hidden: z.boolean().optional().describe('Out of all your lists; only where you changed that.'),
    has_system_prompt: z.boolean().nullable().describe('null: not yours to know.'),
  }),
  async run(args, { caller, services }) {
    const { conversation_id: id, title, archived, hidden, system_prompt: systemPrompt } = args
    if (FIELDS.every((field) => args[field] === undefined)) throw nothingToChange()
    await services.conversationChanges.change(caller, id, {
      title,
      systemPrompt,
      isArchived: archived,
      isHidden: hidden,
      payment: paymentIn(args),
    })
    const changed = await services.conversationHeads.get(caller, id)
    const hasPrompt = changed.systemPrompt !== null
    return {
      ...shownConversation(changed),
      ...(hidden === undefined ? {} : { hidden }),
      has_system_prompt: changed.role === 'viewer' ? null : hasPrompt,
    }
  },
})

type PaymentArgs = {
  payer?: string | undefined
  payers?: (typeof PAYERS)[number] | undefined
  team?: string | null | undefined
}

/** Undefined when none of it is given. */
function paymentIn({ payer, payers, team }: PaymentArgs) {
  if (payer === undefined && payers === undefined && team === undefined) return undefined
  const isTeamOnly = payers === undefined ? undefined : payers === 'team_only'
  return { payer, team, isTeamOnly }
}

const nothingToChange = () =>
  new AppError('invalid_input', `Give at least one of ${FIELDS.join(', ')}.`, {
    details: { fields: [...FIELDS] },
  })
