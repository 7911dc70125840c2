import { z } from 'zod'
import { defineTool, instant } from '../tool.ts'

export const getConversations = defineTool({
  name: 'get_conversations',
  title: 'List conversations',
  description: 'Your conversations, newest activity first.',
  access: 'user',
  scope: 'conversations:read',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
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
    conversations: z.array(
      z.object({
        id: z.uuid(),
        title: z.string(),
        created_at: instant,
        updated_at: instant,
        message_count: z.number().int(),
        is_active: z.boolean(),
        model: z.string(),
      }),
    ),
    total: z.number().int().describe('All of your conversations.'),
    next_cursor: z
      .string()
      .nullable()
      .describe('Pass as cursor for the next page; null at the end.'),
  }),
  async run({ limit, offset, cursor }, { caller, services }) {
    const page = await services.conversations.list(caller, { limit, offset, cursor })
    return {
      conversations: page.conversations.map((row) => ({
        id: row.id,
        title: row.title,
        created_at: row.createdAt.toISOString(),
        updated_at: row.updatedAt.toISOString(),
        message_count: row.messageCount,
        is_active: row.isActive,
        model: row.model,
      })),
      total: page.total,
      next_cursor: page.nextCursor,
    }
  },
})
