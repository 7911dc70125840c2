import { isBlank } from '../text/blank-text.ts'
import type { ContentBlock, Turn } from './content.ts'

const HIDDEN_BLOCKS = new Set(['thinking', 'redacted_thinking'])

/** Whether a block of a stored answer is left out when the answer is replayed. */
export const isHiddenBlock = ({ type }: ContentBlock): boolean => HIDDEN_BLOCKS.has(type)

/**
 * Stored turns to be replayed: complete pairs of user and assistant, in order.
 *
 * Thinking is left out, which the API allows outside tool use: its blocks are bound to the model,
 * the account and every byte before them, and fail the request when one of these has changed
 * (Anthropic API docs: Extended thinking, preserving thinking blocks). A pair is skipped when one
 * message has no text left, so that roles alternate: the API merges two user messages in a row.
 */
export function replayHistory(history: readonly Turn[]): Turn[] {
  const replayed: Turn[] = []
  let question: Turn | undefined
  for (const turn of history) {
    if (turn.role === 'user') {
      question = toSendable(turn)
    } else {
      const answer = toSendable(turn)
      if (question !== undefined && answer !== undefined) replayed.push(question, answer)
      question = undefined
    }
  }
  return replayed
}

/** Undefined when no text is left: the API refuses blank text. */
function toSendable({ role, content }: Turn): Turn | undefined {
  const blocks = content
    .filter((block) => !isHiddenBlock(block) && !isBlankText(block))
    .map((block) => (block.type === 'text' ? textBlock(block.text ?? '') : block))
  return blocks.some(({ type }) => type === 'text') ? { role, content: blocks } : undefined
}

function isBlankText(block: ContentBlock): boolean {
  return block.type === 'text' && isBlank(block.text ?? '')
}

/** The only way to build a text block: the prompt cache compares bytes. */
export function textBlock(text: string) {
  return { type: 'text' as const, text }
}
