import { z } from 'zod'
import { definePrompt } from '../definitions/prompt.ts'
import { completeConversation } from '../resources/conversation.ts'

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
  async messages({ conversation: id, message }, { caller, services, worded }) {
    const { title } = await services.conversationHeads.get(caller, id)
    const next = message
      ? `Then send this message, exactly as it is, and show me the answer:\n\n${message}`
      : 'Then tell me in two sentences where we were, and ask me what to send.'
    const read = `Read the end of my conversation ${JSON.stringify(title)} with get_conversation_history (conversation_id ${id}).`
    const text = `${worded(read)} ${next}\n\n${worded(`Use send_message with conversation_id ${id} for every message of mine from now on.`)}`
    return [{ role: 'user', content: { type: 'text', text } }]
  },
})
