/** Conversations in an export of claude.ai. Fields and block types change there without notice. */

import type { NoteBlock, ReadElement } from './draft.ts'
import { finished } from './finished.ts'
import { isRecord, listOf, marker, storable, typeName } from './texts.ts'
import { timeOf } from './times.ts'
import { Turns } from './turns.ts'

type Fields = Record<string, unknown>

/** Signatures of thinking do not carry over; a token budget is no part of the talk. */
const LEFT_OUT = ['thinking', 'redacted_thinking', 'token_budget']

export const isClaudeAi = (element: Fields) => Array.isArray(element.chat_messages)

export function readClaudeAi(element: Fields, note: NoteBlock, now: Date): ReadElement {
  const beganAt = timeOf(element.created_at, now)
  const messages = listOf(element.chat_messages).filter(isRecord)
  const firstAt = timeOf(messages[0]?.created_at, now)
  const turns = new Turns(beganAt ?? firstAt ?? now)
  for (const message of messages) {
    const role = message.sender === 'human' ? 'user' : 'assistant'
    turns.addText(role, textOfMessage(message, note), timeOf(message.created_at, now))
  }
  return finished({
    source: 'claude.ai',
    id: element.uuid,
    title: element.name,
    updatedAt: timeOf(element.updated_at, now),
    turns,
    element,
  })
}

function textOfMessage(message: Fields, note: NoteBlock): string {
  const blocks = listOf(message.content).filter(isRecord)
  const parts = blocks.map((block) => partOf(block, note)).filter((part) => part !== '')
  const hasText = blocks.some(({ type, text }) => type === 'text' && storable(text) !== '')
  // Either of the two may be empty.
  const spoken = hasText ? parts : [storable(message.text), ...parts]
  return [...spoken, ...attachments(message), ...files(message, note)]
    .filter((part) => part !== '')
    .join('\n\n')
}

function partOf(block: Fields, note: NoteBlock): string {
  const type = typeName(block.type)
  if (LEFT_OUT.includes(type)) return ''
  if (type === 'text' || type === 'voice_note') return storable(block.text)
  note(type)
  return marker(type, block.name)
}

/** The text that claude.ai had read from an attachment. */
function attachments(message: Fields): string[] {
  return listOf(message.attachments)
    .filter(isRecord)
    .map(({ file_name: name, extracted_content: text }) =>
      [`## ${marker('attachment', name).slice(1, -1)}`, storable(text)].join('\n\n').trim(),
    )
}

function files(message: Fields, note: NoteBlock): string[] {
  return listOf(message.files)
    .filter(isRecord)
    .map(({ file_name: name }) => {
      note('file')
      return marker('file', name)
    })
}
