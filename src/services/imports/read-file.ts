/** Reads the conversations in a file, whichever service they are from. */

import { jsonElements } from './file/json-elements.ts'
import { jsonFiles, type Pieces } from './file/json-files.ts'
import { countBranches, isChatGpt, readBranches, readChatGpt } from './sources/chat-gpt.ts'
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

/** A tree of many leaves below a long stem would be many times as long as its file. */
const MOST_BRANCHES = 100

export type ImportOptions = {
  maxMib: number
  /** Whether other branches than the one shown last are taken, each as a conversation. */
  withBranches: boolean
  note: NoteBlock
  /** Told of branches that are not taken. */
  leftOut: (branches: number) => void
}

/**
 * One by one, in the order of the file: each is read only after the one before was taken.
 *
 * @throws AppError invalid_input, request_too_large.
 */
export async function* conversationsIn(
  body: Pieces,
  options: ImportOptions,
): AsyncGenerator<ReadElement, void, undefined> {
  for await (const file of jsonFiles(body, options.maxMib)) {
    for await (const element of jsonElements(file, LIMITS)) {
      if ('bad' in element) yield { ref: undefined, reason: element.bad }
      else {
        yield readElement(element.value, options.note)
        yield* branchesIn(element.value, options)
      }
    }
  }
}

function* branchesIn(
  value: unknown,
  { withBranches, note, leftOut }: ImportOptions,
): Generator<ReadElement> {
  if (!isRecord(value) || readerOf(value)?.read !== readChatGpt) return
  const count = countBranches(value)
  const taken = withBranches ? Math.min(count, MOST_BRANCHES) : 0
  if (count > taken) leftOut(count - taken)
  const branches = readBranches(value, note, new Date())
  for (let number = 0; number < taken; number += 1) {
    const { value: branch } = branches.next()
    if (branch) yield branch
  }
}

const readerOf = (value: Record<string, unknown>) => READERS.find(({ isMeant }) => isMeant(value))

function readElement(value: unknown, note: NoteBlock): ReadElement {
  if (!isRecord(value)) return { ref: undefined, reason: 'unknown_format' }
  const reader = readerOf(value)
  if (reader) return reader.read(value, note, new Date())
  const id = storable(value.uuid) || storable(value.conversation_id) || storable(value.id)
  return { ref: id === '' ? undefined : id, reason: 'unknown_format' }
}
