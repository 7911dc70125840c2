import type { ContentBlock } from '../../../claude/content.ts'
import type { EndedMessage } from '../../../repositories/conversations/conversation-exports.ts'
import type { ConversationHead } from '../conversation-heads.ts'

/** A message with its text. */
export type WrittenMessage = Omit<EndedMessage, 'content'> & { blocks: readonly ContentBlock[] }

export type WrittenHead = Pick<
  ConversationHead,
  'id' | 'title' | 'systemPrompt' | 'model' | 'createdAt' | 'updatedAt'
>

/** The parts of a file, in this order; together they are the whole of it. */
export type Writer = {
  head(conversation: WrittenHead): string
  message(message: WrittenMessage, isFirst: boolean): string
  tail: string
}
