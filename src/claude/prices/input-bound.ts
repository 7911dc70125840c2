import type { ContentBlock, Turn } from '../content.ts'
import { isHiddenBlock } from '../history.ts'

/** What Anthropic adds to a text to make a message of it: a few tokens, taken generously. */
const TOKENS_PER_MESSAGE = 16
const TOKENS_PER_REQUEST = 64

type Prompt = { system?: readonly ContentBlock[]; messages: readonly Turn[] }

/**
 * The most input tokens that a request can be: a tokenizer makes at least one byte of UTF-8 into a
 * token, so that no text has more tokens than bytes, whatever it is written in.
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
