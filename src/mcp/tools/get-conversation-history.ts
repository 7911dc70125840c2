import { z } from 'zod'
import { defineTool, instant } from '../tool.ts'

export const getConversationHistory = defineTool({
  name: 'get_conversation_history',
  title: 'Read a conversation',
  description:
    'The messages of one conversation of yours, oldest first: all of them, or a page with limit and before. Turns that failed are shown with their status; Claude does not see them.',
  access: 'user',
  scope: 'conversations:read',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  isHeavy: true,
  input: z.object({
    conversation_id: z
      .uuid('must be a conversation id, as send_message or get_conversations returned it')
      .describe('A conversation of yours.'),
    limit: z
      .number()
      .int()
      .min(1)
      .max(1000)
      .optional()
      .describe('The newest so many messages. Left out: all.'),
    before: z
      .uuid('must be a message id of this conversation')
      .optional()
      .describe('Only messages before this one: next_before of the newer page.'),
  }),
  rows: 'messages',
  output: z.object({
    messages: z.array(
      z.object({
        id: z.uuid(),
        role: z.enum(['user', 'assistant']),
        content: z.string(),
        timestamp: instant.describe('When you sent it, or when the answer was finished.'),
        token_count: z
          .number()
          .int()
          .describe('Of an answer: output tokens as billed. Of your message: an estimate.'),
        model_used: z.string(),
        status: z
          .enum(['running', 'complete', 'refused', 'failed', 'cancelled', 'interrupted'])
          .describe("The turn's: only complete turns are sent to Claude."),
        error_code: z.string().nullable().describe('Why a turn failed.'),
      }),
    ),
    total: z.number().int().describe('Messages in the conversation.'),
    next_before: z
      .uuid()
      .nullable()
      .describe('Pass as before for the older page; null at the start.'),
  }),
  async run({ conversation_id: conversationId, limit, before }, { caller, services }) {
    const page = await services.conversations.history(caller, conversationId, { limit, before })
    return {
      messages: page.messages.map((row) => ({
        id: row.id,
        role: row.role,
        content: row.content,
        timestamp: (isAnswer(row)
          ? (row.finishedAt ?? row.createdAt)
          : row.createdAt
        ).toISOString(),
        token_count: row.tokenCount,
        model_used: row.model,
        status: row.status,
        error_code: row.errorCode,
      })),
      total: page.total,
      next_before: page.nextBefore,
    }
  },
})

const isAnswer = (row: { role: string }) => row.role === 'assistant'
