/** Reads the conversations in a file, whichever service they are from. */

import { jsonElements } from './file/json-elements.ts'
import { jsonFiles, type Pieces } from './file/json-files.ts'
import { isChatGpt, readChatGpt } from './sources/chat-gpt.ts'
import { isClaudeAi, readClaudeAi } from './sources/claude-ai.ts'
import type { NoteBlock, ReadElement } from './sources/draft.ts'
import { isGateway, readGateway } from './sources/gateway.ts'
import { isRecord, storable } from './sources/texts.ts'

/** A value takes up to a hundred bytes of memory; a conversation of 10,000 messages has 300,000. */
const LIMITS = { maxBytes: 32 * 1024 * 1024, maxValues: 500_000, maxDepth: 256 }

const READERS = [
  { isMeant: isGateway, read: readGateway },
  { isMeant: isClaudeAi, read: readClaudeAi },
  { isMeant: isChatGpt, read: readChatGpt },
]

/**
 * One by one, in the order of the file: each is read only after the one before was taken.
 *
 * @throws AppError invalid_input, request_too_large.
 */
export async function* conversationsIn(
  body: Pieces,
  maxMib: number,
  note: NoteBlock,
): AsyncGenerator<ReadElement, void, undefined> {
  for await (const file of jsonFiles(body, maxMib)) {
    for await (const element of jsonElements(file, LIMITS)) {
      if ('bad' in element) yield { ref: undefined, reason: element.bad }
      else yield readElement(element.value, note)
    }
  }
}

function readElement(value: unknown, note: NoteBlock): ReadElement {
  if (!isRecord(value)) return { ref: undefined, reason: 'unknown_format' }
  const reader = READERS.find(({ isMeant }) => isMeant(value))
  if (reader) return reader.read(value, note, new Date())
  const id = storable(value.uuid) || storable(value.conversation_id) || storable(value.id)
  return { ref: id === '' ? undefined : id, reason: 'unknown_format' }
}
