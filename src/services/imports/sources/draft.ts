/** A conversation from elsewhere, in the form in which the gateway keeps conversations. */

import type { ContentBlock } from '../../../claude/content.ts'
import type { EndedStatus } from '../../conversations/conversation-document.ts'

export type Source = 'claude.ai' | 'chatgpt' | 'gateway'

export type DraftMessage = {
  role: 'user' | 'assistant'
  status: EndedStatus
  /** Empty: there is none. */
  content: ContentBlock[]
  createdAt: Date
}

/** Messages are whole turns, in the order of their times. */
export type Draft = {
  source: Source
  /** The same in every export of this conversation. */
  sourceId: string
  title: string
  systemPrompt: string | null
  createdAt: Date
  updatedAt: Date
  messages: DraftMessage[]
}

/** Why a conversation was not imported. */
export type SkipReason =
  | 'continued_here'
  | 'empty'
  | 'malformed'
  | 'message_too_large'
  | 'storage_full'
  | 'too_deep'
  | 'too_large'
  | 'too_many_messages'
  | 'too_many_values'
  | 'unknown_format'
  | 'unknown_version'

/** What a source's reader makes of an element; `ref`: its id in the source. */
export type ReadElement = { draft: Draft } | { ref: string | undefined; reason: SkipReason }

/** Called for each block that is not taken over as it is, with its type. */
export type NoteBlock = (type: string) => void
