import type { ContentBlock, Turn } from '../content.ts'
import { isHiddenBlock } from '../history.ts'

/** Overhead of a message besides its text: a few tokens, rounded up generously. */
const TOKENS_PER_MESSAGE = 16
const TOKENS_PER_REQUEST = 64

type Prompt = { system?: readonly ContentBlock[]; messages: readonly Turn[] }

/**
 * Upper bound of a request's input tokens: a token is at least one byte of UTF-8, so that a text in
 * any language has at most as many tokens as bytes.
 */
export function inputTokensAtMost({ system, messages }: Prompt): number {
  let tokens = TOKENS_PER_REQUEST
  if (system !== undefined) tokens += contentTokensAtMost(system) + TOKENS_PER_MESSAGE
  for (const { content } of messages) tokens += contentTokensAtMost(content) + TOKENS_PER_MESSAGE
  return tokens
}

function contentTokensAtMost(content: readonly ContentBlock[]): number {
  return content.reduce((sum, block) => sum + blockTokensAtMost(block), 0)
}

function blockTokensAtMost(block: ContentBlock): number {
  if (isHiddenBlock(block)) return 0
  const { type, text = '' } = block
  return Buffer.byteLength(type === 'text' ? text : JSON.stringify(block))
}
