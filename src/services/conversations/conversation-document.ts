/** The gateway's own file of one conversation: what an export writes, an import reads. */

import { createHash } from 'node:crypto'
import { z } from 'zod'

export const DOCUMENT_FORMAT = 'claude-api-gateway/conversation'
export const DOCUMENT_VERSION = 1

/** How a message may have ended; one that is still running is not exported. */
const ENDED = ['complete', 'refused', 'failed', 'cancelled', 'interrupted'] as const

export type EndedStatus = (typeof ENDED)[number]

const Instant = z.iso.datetime()

/** A block of Anthropic's Messages API, with all of its fields. */
const Block = z.looseObject({ type: z.string() })

const Message = z.object({
  id: z.uuid(),
  /** A conversation begins with the user, and the roles alternate. */
  role: z.enum(['user', 'assistant']),
  status: z.enum(ENDED),
  /** Verbatim; empty for an answer that never had any text. */
  content: z.array(Block),
  model: z.string(),
  created_at: Instant,
})

/** The fields on which an import depends. An export may add others, which an import ignores. */
export const ConversationDocument = z.object({
  format: z.literal(DOCUMENT_FORMAT),
  version: z.literal(DOCUMENT_VERSION),
  conversation: z.object({
    id: z.uuid(),
    title: z.string(),
    system_prompt: z.string().nullable(),
    model: z.string(),
    created_at: Instant,
    updated_at: Instant,
  }),
  messages: z.array(Message),
})

export type ConversationDocument = z.infer<typeof ConversationDocument>

/**
 * SHA-256 in hex of what was said: title, system prompt, and of each message its role, status,
 * blocks and time. Ids and models differ after an import, and are left out.
 */
export function contentHash({ conversation, messages }: ConversationDocument): string {
  const said = {
    title: conversation.title,
    system_prompt: conversation.system_prompt,
    messages: messages.map(({ role, status, content, created_at }) => ({
      role,
      status,
      content,
      at: new Date(created_at).toISOString(),
    })),
  }
  return createHash('sha256')
    .update(JSON.stringify(sorted(said)))
    .digest('hex')
}

/** With the names of each object in order: two writers may order them differently. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => [name, sorted(inner)])
}
