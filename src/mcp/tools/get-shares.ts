import { z } from 'zod'
import { defineTool } from '../definitions/tool.ts'
import { link, share, shownLink, shownShare } from './share.ts'

export const getShares = defineTool({
  name: 'get_shares',
  title: 'List shares',
  description:
    'Who you share your conversations with, the links to them, and what others share with you.',
  access: 'user',
  scope: 'conversations:share',
  feature: 'sharing',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
    conversation_id: z
      .uuid('must be a conversation id, as send_message or get_conversations returned it')
      .optional()
      .describe('Only those of this conversation.'),
  }),
  output: z.object({
    given: z.array(share).describe('Of your own conversations, at most 1000, newest first.'),
    received: z.array(share),
    links: z.array(link).describe('To your own conversations, at most 1000, newest first.'),
  }),
  async run({ conversation_id: conversationId = null }, { caller, services }) {
    const { given, received } = await services.sharing.list(caller, conversationId)
    const links = await services.links.list(caller, conversationId ?? undefined)
    return {
      given: given.map((row) => shownShare(row, false)),
      received: received.map((row) => shownShare(row, true)),
      links: links.map(shownLink),
    }
  },
})
