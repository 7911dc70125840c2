import { z } from 'zod'
import type { ConversationHead } from '../../services/conversations/conversation-heads.ts'
import { isBlank } from '../../text/blank-text.ts'
import { definePrompt } from '../definitions/prompt.ts'
import { completeConversation } from '../resources/conversation.ts'
import { untrustedText } from '../untrusted-text.ts'

export const continueConversation = definePrompt({
  name: 'continue_conversation',
  title: 'Continue a conversation',
  description: 'Take up one of your conversations with Claude where it ended.',
  scope: 'conversations:read',
  input: z.strictObject({
    conversation: z
      .uuid('must be a conversation id')
      .describe('Which one: begin to type its title.'),
    message: z.string().optional().describe('What to send. Left out: you are asked.'),
  }),
  complete: { conversation: completeConversation },
  argumentOf: { conversation_id: 'conversation' },
  async messages({ conversation: id, message }, { caller, services, worded }) {
    const { title, role } = await services.conversationHeads.get(caller, id)
    const next = isBlank(message ?? '')
      ? 'Then tell me in two sentences where we were, and ask me what to send.'
      : `Then send this message, exactly as it is, and show me the answer:\n\n${message}`
    const whose = role === 'owner' ? 'my conversation' : 'the conversation that is shared with me,'
    const read = `Read the end of ${whose} ${JSON.stringify(untrustedText(title))} with get_conversation_history (conversation_id ${id}).`
    const text = `${worded(read)} ${next}\n\n${worded(sendingIn(id, role))}`
    return [{ role: 'user', content: { type: 'text', text } }]
  },
})

/** A viewer would be refused, and goes on in a copy. */
const sendingIn = (id: string, role: ConversationHead['role']): string =>
  role === 'viewer'
    ? `I may only read it. Before you send a message of mine, copy it with branch_conversation (conversation_id ${id}); then use send_message with the conversation_id of the copy for every message of mine.`
    : `Use send_message with conversation_id ${id} for every message of mine from now on.`
