import { z } from 'zod'
import { defineTool } from '../definitions/tool.ts'
import { conversationId } from './conversation.ts'

export const deleteConversation = defineTool({
  name: 'delete_conversation',
  title: 'Delete a conversation',
  description:
    'Delete a conversation of yours with all its messages, at once and for ever: there is no trash. An answer that is running is stopped. Those it is shared with lose it too. What it cost stays in the usage.',
  access: 'user',
  scope: 'conversations:write',
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: false },
  input: z.object({ conversation_id: conversationId.describe('The conversation to delete.') }),
  output: z.object({
    deleted: z.literal(true),
    messages: z.number().int().describe('Messages that were deleted; 0 if it was gone already.'),
    links_ended: z.number().int().describe('Shares and links that ended with it.'),
    branches_left: z
      .number()
      .int()
      .describe('Copies that go on existing, those of other people included.'),
  }),
  async run({ conversation_id: id }, { caller, services }) {
    const { messages, linksEnded, branchesLeft } = await services.conversationDeletion.delete(
      caller,
      id,
    )
    return {
      deleted: true as const,
      messages,
      links_ended: linksEnded,
      branches_left: branchesLeft,
    }
  },
})
