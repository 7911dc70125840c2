import { z } from 'zod'
import { EXPORT_FORMATS } from '../../services/conversations/exports/conversation-export.ts'
import { defineTool } from '../definitions/tool.ts'

export const exportConversation = defineTool({
  name: 'export_conversation',
  title: 'Export a conversation',
  description:
    'One conversation of yours as a file: Markdown to read, or JSON with every block, which the gateway imports again. A long one comes in parts; the whole file is at download_url.',
  access: 'user',
  scope: 'conversations:read',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  isHeavy: true,
  input: z.object({
    conversation_id: z
      .uuid('must be a conversation id, as send_message or get_conversations returned it')
      .describe('A conversation of yours.'),
    format: z.enum(EXPORT_FORMATS).default('markdown').describe('markdown or json.'),
    cursor: z
      .string()
      .max(200)
      .optional()
      .describe('next_cursor of the part before, with the same format.'),
  }),
  output: z.object({
    text: z.string().describe('The file, or the part of it that begins at cursor.'),
    next_cursor: z
      .string()
      .nullable()
      .describe(
        'Pass as cursor for the next part; null at the end. The parts, joined, are the file.',
      ),
    download_url: z.url().describe('The whole file, in a browser that is signed in.'),
  }),
  async run({ conversation_id: id, format, cursor }, { caller, services }) {
    const { conversationExport } = services
    const { text, nextCursor } = await conversationExport.part(caller, id, format, cursor)
    return {
      text,
      next_cursor: nextCursor,
      download_url: conversationExport.downloadUrl(id, format),
    }
  },
})
