import { z } from 'zod'
import { CONVERSATION_FILTERS, readsList } from '../../services/conversations/conversations.ts'
import { defineTool, storableText } from '../definitions/tool.ts'
import { conversation, shownConversation } from './conversation.ts'

export const getConversations = defineTool({
  name: 'get_conversations',
  title: 'List conversations',
  description:
    'Your conversations, or those shared with you, newest activity first. Archived ones are left out unless you ask for them.',
  access: 'user',
  scope: 'conversations:read',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
    filter: z
      .enum(CONVERSATION_FILTERS)
      .default('mine')
      .describe('Your own, those shared with you, the archived ones, or all of them.'),
    team: storableText
      .trim()
      .min(1)
      .max(64)
      .optional()
      .describe('Only those that belong to this team of yours: its name or id.'),
    limit: z.number().int().min(1).max(200).default(50).describe('Rows per page, 1 to 200.'),
    offset: z
      .number()
      .int()
      .min(0)
      .max(10_000_000)
      .default(0)
      .describe('Rows to skip. For deep pages use cursor.'),
    cursor: z
      .string()
      .max(200)
      .optional()
      .describe('next_cursor of the page before: equally quick at any depth.'),
  }),
  rows: 'conversations',
  output: z.object({
    conversations: z.array(z.object(conversation)),
    total: z.number().int().describe('How many the filter finds.'),
    next_cursor: z
      .string()
      .nullable()
      .describe('Pass as cursor for the next page; null at the end.'),
  }),
  announce: readsList,
  async run({ filter, team, limit, offset, cursor }, { caller, services }) {
    const wanted = { filter, team, limit, offset, cursor }
    const page = await services.conversations.list(caller, wanted)
    return {
      conversations: page.conversations.map(shownConversation),
      total: page.total,
      next_cursor: page.nextCursor,
    }
  },
})
