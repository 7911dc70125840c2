import { createHash } from 'node:crypto'
import { toTitle, UNTITLED } from '../../conversations/title.ts'
import { textOf } from '../../keys/vault.ts'
import type { DraftMessage, ReadElement, Source } from './draft.ts'
import { titleOf } from './texts.ts'
import { laterOf } from './times.ts'
import type { Turns } from './turns.ts'

const MAX_ID_LENGTH = 200
/** One transaction writes them. */
const MAX_MESSAGES = 10_000
/** As long as a message that is sent may be by default. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024

type Found = {
  source: Source
  id: unknown
  title: unknown
  systemPrompt?: string | null
  updatedAt: Date | undefined
  turns: Turns
  /** The whole of it, as parsed. */
  element: object
}

/** The draft, or why it cannot be imported. */
export function finished(found: Found): ReadElement {
  const { source, turns, element, systemPrompt = null } = found
  const id = isId(found.id) ? found.id : undefined
  if (!turns.hasText) return { ref: id, reason: 'empty' }
  const messages = turns.whole()
  if (messages.length > MAX_MESSAGES) return { ref: id, reason: 'too_many_messages' }
  const isPromptTooLarge = Buffer.byteLength(systemPrompt ?? '') > MAX_MESSAGE_BYTES
  if (isPromptTooLarge || messages.some(isTooLarge)) return { ref: id, reason: 'message_too_large' }
  const [first, last] = [messages[0] as DraftMessage, messages.at(-1) as DraftMessage]
  return {
    draft: {
      source,
      sourceId: id ?? hashOf(element),
      title: titleOf(found.title) ?? beginningOf(messages),
      systemPrompt,
      createdAt: first.createdAt,
      updatedAt: laterOf(last.createdAt, found.updatedAt),
      messages,
    },
  }
}

const isId = (id: unknown): id is string =>
  typeof id === 'string' && id !== '' && id.length <= MAX_ID_LENGTH

/** A conversation without an id is recognised by its content. */
const hashOf = (element: object) =>
  `sha256:${createHash('sha256').update(JSON.stringify(element)).digest('hex')}`

const isTooLarge = ({ content }: DraftMessage) =>
  content.reduce(
    (sum, { text = '', thinking = '' }) => sum + Buffer.byteLength(text + thinking),
    0,
  ) > MAX_MESSAGE_BYTES

function beginningOf(messages: readonly DraftMessage[]): string {
  const titles = messages.map(({ content }) => toTitle(textOf(content)))
  return titles.find((title) => title !== UNTITLED) ?? UNTITLED
}
