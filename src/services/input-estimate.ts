/** How many input tokens a request is, without asking Anthropic. */

import { estimateTokens } from '../claude/tokens.ts'
import type { Turn } from './history.ts'
import { textOf } from './vault.ts'

/**
 * Bytes per token at the dense end: current tokenizers stay above these for prose and code, and a
 * non-ASCII character of three bytes is at most about two tokens.
 */
const ASCII_BYTES_PER_TOKEN = 2.5
const OTHER_BYTES_PER_TOKEN = 1.5
const TOKENS_PER_MESSAGE = 10
const TOKENS_PER_REQUEST = 50

/** `atMost` is for a reservation, `likely` for booking a call whose true figure is lost. */
export function estimateInput(parts: {
  systemPrompt: string | undefined
  turns: readonly Turn[]
  message: string
}): { atMost: number; likely: number } {
  const texts = [
    parts.systemPrompt ?? '',
    ...parts.turns.flatMap(({ user, assistant }) => [textOf(user), textOf(assistant)]),
    parts.message,
  ]
  const atMost = texts.reduce((sum, text) => sum + tokensAtMost(text) + TOKENS_PER_MESSAGE, 0)
  const likely = texts.reduce((sum, text) => sum + estimateTokens(text), 0)
  return { atMost: Math.ceil(atMost) + TOKENS_PER_REQUEST, likely }
}

function tokensAtMost(text: string): number {
  const bytes = Buffer.byteLength(text, 'utf8')
  // Every non-ASCII UTF-16 unit takes two or three bytes; counting them needs no second pass.
  const extraBytes = bytes - text.length
  const otherBytes = Math.min(bytes, extraBytes * 2)
  return (bytes - otherBytes) / ASCII_BYTES_PER_TOKEN + otherBytes / OTHER_BYTES_PER_TOKEN
}
