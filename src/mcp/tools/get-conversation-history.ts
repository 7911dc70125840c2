import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { readsHistory } from '../../services/conversations/conversations.ts'
import { defineTool, instant } from '../definitions/tool.ts'
import { paidBy, shownPayer } from './paid-by.ts'

const input = z.object({
  conversation_id: z
    .uuid('must be a conversation id, as send_message or get_conversations returned it')
    .describe('A conversation of yours, or one that is shared with you.'),
  limit: z
    .number()
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe(
      'The newest so many messages, fewer where they are long. Left out: about 64 KB of them.',
    ),
  before: z
    .uuid('must be a message id of this conversation')
    .optional()
    .describe('Only messages before this one: next_before of the newer page.'),
  message_id: z
    .uuid('must be a message id of this conversation')
    .optional()
    .describe('Only this message, to read on where its content was cut.'),
  offset: z
    .number()
    .int()
    .min(0)
    .max(100_000_000)
    .default(0)
    .describe('With message_id: where in its content to begin, as next_offset said.'),
})

export const getConversationHistory = defineTool({
  name: 'get_conversation_history',
  title: 'Read a conversation',
  description:
    'The messages of one conversation that is yours or shared with you, oldest first: the newest that fit into one result, or page by page with limit and before. Turns that failed are shown with their status; Claude does not see them.',
  access: 'user',
  scope: 'conversations:read',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  isHeavy: true,
  input,
  rows: 'messages',
  output: z.object({
    messages: z.array(
      z.object({
        id: z.uuid(),
        role: z.enum(['user', 'assistant']),
        author: z
          .string()
          .nullable()
          .describe(
            "Username of its sender, who may be another user than you; null for Claude's answers, for a former user, and for what was copied from a link.",
          ),
        paid_by: paidBy.describe(
          "Of an answer: whose Anthropic key paid; own is the sender's. null: not yours to know, or not known.",
        ),
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
        next_offset: z
          .number()
          .int()
          .optional()
          .describe(
            'Only when content was cut: pass id as message_id and this as offset for the rest.',
          ),
        has_older: z
          .literal(true)
          .optional()
          .describe(
            'Only when the messages before this one did not fit: pass its id as before to read them.',
          ),
      }),
    ),
    total: z.number().int().describe('Messages in the conversation.'),
    next_before: z
      .uuid()
      .nullable()
      .describe('Pass as before for the older page; null at the start.'),
  }),
  announce: (args) => readsHistory(args.conversation_id, toPage(args)),
  async run(args, { caller, services }) {
    if (args.message_id === undefined && args.offset > 0) throw offsetOfNothing()
    const page = await services.conversations.history(caller, args.conversation_id, toPage(args))
    return {
      messages: page.messages.map((row) => ({
        id: row.id,
        role: row.role,
        author: isAnswer(row) ? null : row.sender,
        paid_by: shownPayer(row.paidBy),
        content: row.content,
        timestamp: (isAnswer(row)
          ? (row.finishedAt ?? row.createdAt)
          : row.createdAt
        ).toISOString(),
        token_count: row.tokenCount,
        model_used: row.model,
        status: row.status,
        error_code: row.errorCode,
        ...(row.nextOffset === null ? {} : { next_offset: row.nextOffset }),
        ...(row.hasOlder ? { has_older: true as const } : {}),
      })),
      total: page.total,
      next_before: page.nextBefore,
    }
  },
})

const isAnswer = (row: { role: string }) => row.role === 'assistant'

const offsetOfNothing = () =>
  new AppError(
    'invalid_input',
    'offset needs message_id, which says in which message to begin there.',
    {
      details: { fields: ['offset'] },
    },
  )

const toPage = ({ limit, before, message_id: messageId, offset }: z.output<typeof input>) => ({
  limit,
  before,
  from: messageId === undefined ? undefined : { messageId, offset },
})
