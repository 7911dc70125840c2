import { isBlank } from '../../text/blank-text.ts'

const MAX_TITLE_LENGTH = 80

/** The title of a conversation without text. */
export const UNTITLED = 'Untitled'

/** A conversation's title from its first message: the first line with text, cut at a word. */
export function toTitle(message: string): string {
  const line = message.split('\n').find((candidate) => !isBlank(candidate)) ?? ''
  const text = line.replace(/\s+/g, ' ').trim()
  const characters = [...text]
  if (characters.length <= MAX_TITLE_LENGTH) return text === '' ? UNTITLED : text
  const cut = characters.slice(0, MAX_TITLE_LENGTH - 1).join('')
  const lastSpace = cut.lastIndexOf(' ')
  return `${lastSpace > MAX_TITLE_LENGTH / 2 ? cut.slice(0, lastSpace) : cut}…`
}
