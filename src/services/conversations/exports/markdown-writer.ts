import { VERSION } from '../../../version.ts'
import { textOf } from '../../keys/vault.ts'
import type { Writer, WrittenMessage } from './writer.ts'

/** A message as Markdown shows it. */
export type MarkdownMessage = Pick<
  WrittenMessage,
  'role' | 'model' | 'createdAt' | 'finishedAt' | 'isReaders' | 'sender'
> & { status: WrittenMessage['status'] | 'running'; text: string }

/**
 * For people and other programs. Every text is in a fence that is longer than any within it, so
 * that none can look like another message, or like the head.
 */
export const markdownWriter: Writer = {
  head({ id, title, systemPrompt, model, createdAt, updatedAt }) {
    const matter = Object.entries({
      id,
      title,
      created: createdAt.toISOString(),
      updated: updatedAt.toISOString(),
      model,
      exported_by: `claude-api-gateway ${VERSION}`,
    })
    const lines = matter.map(([name, value]) => `${name}: ${yamlText(value)}\n`)
    const instructions =
      systemPrompt === null ? '' : `\n## System prompt\n\n${fenced(systemPrompt)}`
    return `---\n${lines.join('')}---\n${instructions}`
  },
  message: (message) => `\n${markdownMessage({ ...message, text: textOf(message.blocks) })}`,
  tail: '',
}

/** One message: a heading, and its text in a fence that it cannot close. */
export const markdownMessage = (message: MarkdownMessage): string =>
  `## ${headingOf(message)}\n\n${fenced(message.text)}`

function headingOf(message: MarkdownMessage): string {
  const { role, status, model, createdAt, finishedAt } = message
  if (role === 'user') return `${authorOf(message)} · ${createdAt.toISOString()}`
  const ending = status === 'complete' ? '' : ` · ${status}`
  return `Claude · ${inOneLine(model)} · ${(finishedAt ?? createdAt).toISOString()}${ending}`
}

function authorOf({ isReaders, sender }: MarkdownMessage): string {
  if (isReaders) return 'You'
  // One whose account is gone, or whom the link that this was copied from does not name.
  return sender === null ? 'Another user' : inOneLine(sender)
}

/** What begins a line is no list, link or emphasis either. */
const inOneLine = (text: string) => text.replace(/[^\w.:@/-]/g, '_')

function fenced(text: string): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map(({ length }) => length))
  const fence = '`'.repeat(longest + 1)
  return `${fence}markdown\n${text}${text.endsWith('\n') ? '' : '\n'}${fence}\n`
}

/** JSON is YAML but for a few characters that YAML does not take as they are (YAML 1.2, 5.1). */
const yamlText = (text: string) =>
  JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g, escaped)

const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
