/** Conversations that a gateway exported: of this one, or of another. */

import type { ContentBlock } from '../../../claude/content.ts'
import { isBlank } from '../../../text/blank-text.ts'
import {
  ConversationDocument,
  DOCUMENT_FORMAT,
  DOCUMENT_VERSION,
} from '../../conversations/conversation-document.ts'
import type { NoteBlock, ReadElement } from './draft.ts'
import { finished } from './finished.ts'
import { isRecord, listOf, marker, storable, typeName } from './texts.ts'
import { timeOf } from './times.ts'
import { Turns } from './turns.ts'

type Fields = Record<string, unknown>

const Conversation = ConversationDocument.shape.conversation
/** Checked message by message: a list of errors of a hostile file could be very long. */
const Message = ConversationDocument.shape.messages.element.omit({ content: true })

export const isGateway = ({ format }: Fields) => format === DOCUMENT_FORMAT

export function readGateway(element: Fields, note: NoteBlock, now: Date): ReadElement {
  const { data: conversation } = Conversation.safeParse(element.conversation)
  const ref = conversation?.id
  if (element.version !== DOCUMENT_VERSION) return { ref, reason: 'unknown_version' }
  const messages = listOf(element.messages)
  // The database rounds a conversation's time, which may so be later than its first message's.
  const firstAt = isRecord(messages[0]) ? timeOf(messages[0].created_at, now) : undefined
  const turns = new Turns(firstAt ?? timeOf(conversation?.created_at, now) ?? now)
  const areRead = messages.every((message) => addMessage(turns, message, note, now))
  if (!conversation || !areRead) return { ref, reason: 'malformed' }
  const prompt = storable(conversation.system_prompt)
  return finished({
    source: 'gateway',
    id: ref,
    title: conversation.title,
    systemPrompt: isBlank(prompt) ? null : prompt,
    updatedAt: timeOf(conversation.updated_at, now),
    turns,
    element,
  })
}

/** @returns false for what is no message. */
function addMessage(turns: Turns, message: unknown, note: NoteBlock, now: Date): boolean {
  const { data } = Message.safeParse(message)
  const blocks = data && isRecord(message) ? listOf(message.content) : [undefined]
  if (data === undefined || !blocks.every(isRecord)) return false
  const content = blocks.map((block) => toStored(block, note))
  const { role, status, created_at: createdAt } = data
  turns.addBlocks({ role, status, content, createdAt: timeOf(createdAt, now) })
  return true
}

/**
 * Only text goes to Claude again, and only as text: the file may be forged, and another block could
 * cost what no budget has reserved. Thinking is kept, and is never sent again.
 */
function toStored(block: Fields, note: NoteBlock): ContentBlock {
  const type = typeName(block.type)
  if (type === 'text') return { ...withoutCitations(block, note), type, text: storable(block.text) }
  if (type === 'thinking') {
    return { type, thinking: storable(block.thinking), signature: storable(block.signature) }
  }
  if (type === 'redacted_thinking') return { type, data: storable(block.data) }
  note(type)
  return { type: 'text', text: marker(type, block.name) }
}

function withoutCitations({ citations }: Fields, note: NoteBlock): { citations?: null } {
  if (citations === undefined) return {}
  if (citations !== null) note('citations')
  return { citations: null }
}
