import { z } from 'zod'
import { defineTool } from '../definitions/tool.ts'

/** A longer export would fill the context of the calling model. */
const MAX_INLINE_CHARACTERS = 100_000

const count = z.number().int()

export const exportMyData = defineTool({
  name: 'export_my_data',
  title: 'Export my data',
  description: `What the gateway keeps of you as one JSON document: conversations, usage, budgets, sessions; no key, token or password. Returns how much there is and where to download it, and the document itself when it has at most ${MAX_INLINE_CHARACTERS} characters.`,
  access: 'user',
  scope: 'account',
  alsoNeeds: ['conversations:read', 'usage:read'],
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({}),
  output: z.object({
    conversations: count,
    messages: count,
    usage_rows: count.describe('Calls that were billed.'),
    download_url: z
      .url()
      .describe('Signed in with a browser, or with Authorization: Bearer and an access token.'),
    data: z.record(z.string(), z.unknown()).optional().describe('The document, when it is short.'),
  }),
  async run(_args, { caller, services }) {
    const { conversations, messages, usageRows } = await services.exports.counts(caller)
    const text = await textUpTo(MAX_INLINE_CHARACTERS, services.exports.stream(caller))
    return {
      conversations,
      messages,
      usage_rows: usageRows,
      download_url: services.exports.downloadUrl,
      ...(text === undefined ? {} : { data: JSON.parse(text) as Record<string, unknown> }),
    }
  },
})

/** The whole text, or undefined once it exceeds the limit: the rest is then not read. */
async function textUpTo(maxCharacters: number, pieces: AsyncIterable<string>) {
  let text = ''
  for await (const piece of pieces) {
    text += piece
    if (text.length > maxCharacters) return undefined
  }
  return text
}
