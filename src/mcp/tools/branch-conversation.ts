import { z } from 'zod'
import { defineTool } from '../definitions/tool.ts'
import { conversationId } from './conversation.ts'

export const branchConversation = defineTool({
  name: 'branch_conversation',
  title: 'Branch a conversation',
  description:
    'Copy a conversation, whole or up to a message, into a new one of your own, to go on from there in another way. The copy is private and costs nothing; the original stays as it is.',
  access: 'user',
  scope: 'conversations:write',
  hints: { readOnly: false, destructive: false, idempotent: false, openWorld: false },
  isHeavy: true,
  input: z.object({
    conversation_id: conversationId.describe('The conversation to copy.'),
    through_message_id: z
      .uuid('must be a message id of this conversation')
      .optional()
      .describe('Copy up to this message: of a turn, both sides. Left out: all of it.'),
  }),
  output: z.object({
    conversation_id: z.uuid().describe('Of the copy: pass it to send_message.'),
    message_count: z.number().int().describe('Messages in it.'),
    branched_from: z.object({
      conversation_id: z.uuid(),
      position: z.number().int().describe('Of the last message that was copied.'),
    }),
  }),
  async run(args, { caller, services }) {
    const { conversation_id: id, through_message_id: through } = args
    const branch = await services.branching.branch(caller, id, through)
    return {
      conversation_id: branch.conversationId,
      message_count: branch.messageCount,
      branched_from: {
        conversation_id: branch.branchedFrom.conversationId,
        position: branch.branchedFrom.position,
      },
    }
  },
})
