import { z } from 'zod'
import { SEARCH_IN } from '../../services/conversations/search/candidates.ts'
import type { SearchHit } from '../../services/conversations/search/search.ts'
import { defineTool, instant } from '../definitions/tool.ts'
import { untrustedMark, untrustedText } from '../untrusted-text.ts'
import { day } from './day.ts'

export const searchConversations = defineTool({
  name: 'search_conversations',
  title: 'Search conversations',
  description:
    'Find words in the titles and messages of your conversations, newest first. All words have to occur, in any case and any script; "words in quotes" in this order. A long search stops after a second: go on with next_cursor.',
  access: 'user',
  scope: 'conversations:read',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  limitedAs: 'search',
  isHeavy: true,
  input: z.object({
    query: z.string().max(500).describe('Words, and phrases in double quotes.'),
    in: z
      .enum(SEARCH_IN)
      .default('all')
      .describe('Your own conversations, those shared with you, or both.'),
    from: day.optional().describe('Only from this day (UTC) on.'),
    to: day.optional().describe('Only up to this day (UTC), included.'),
    limit: z.number().int().min(1).max(100).default(20).describe('Most hits, 1 to 100.'),
    cursor: z
      .string()
      .max(4000)
      .optional()
      .describe('next_cursor of the same search, to go on from there.'),
  }),
  output: z.object({
    hits: z.array(
      z.object({
        conversation_id: z.uuid(),
        title_is_untrusted: untrustedMark,
        title: z.string(),
        message_id: z.uuid().optional().describe('Left out when the title was found.'),
        position: z.number().int().optional().describe('Of the message in its conversation.'),
        role: z.enum(['user', 'assistant']).optional(),
        snippet_is_untrusted: untrustedMark,
        snippet: z.string().describe('The text around the first word that was found.'),
        created_at: instant,
      }),
    ),
    searched: z.number().int().describe('Titles and messages that this call compared.'),
    complete: z.boolean().describe('Nothing remains to be searched.'),
    next_cursor: z.string().nullable().describe('Pass as cursor to go on; null at the end.'),
  }),
  async run({ query, in: searched, from, to, limit, cursor }, { caller, services }) {
    const wanted = { query, searched, from, to, limit, cursor }
    const result = await services.search.search(caller, wanted)
    return {
      hits: result.hits.map(shownHit),
      searched: result.searched,
      complete: result.nextCursor === null,
      next_cursor: result.nextCursor,
    }
  },
})

function shownHit(hit: SearchHit) {
  const { conversationId, title, message, snippet, createdAt } = hit
  return {
    conversation_id: conversationId,
    ...(hit.isOthersConversation
      ? { title_is_untrusted: true as const, title: untrustedText(title) }
      : { title }),
    ...(message && { message_id: message.id, position: message.position, role: message.role }),
    ...(hit.isOthersText
      ? { snippet_is_untrusted: true as const, snippet: untrustedText(snippet) }
      : { snippet }),
    created_at: createdAt.toISOString(),
  }
}
