import type { Model } from './model-profiles.ts'
import type { CacheUsage } from './prompt-cache.ts'
import { signedBy } from './signature.ts'
import { blocksOf, type CacheControl, type ContentBlock, type MessagesRequest } from './wire.ts'

const BYTES_PER_TOKEN = 4
/** Framing that follows each message; never part of a cached prefix that ends in it. */
const TOKENS_PER_MESSAGE = 3
const TOKENS_PER_IMAGE = 1500
/** What every stand-in thought costs, however hard the question. */
export const THINKING_TOKENS = 8

/** One content block of the prompt, in the order the model reads them. */
export interface Segment {
  part: 'tools' | 'system' | 'messages'
  role: string
  block: ContentBlock
  /** Tokens of the block itself. */
  tokens: number
  /** Framing tokens between this block and the next. */
  framingTokens: number
}

export interface Prompt {
  segments: Segment[]
  totalTokens: number
}

/** Bytes of UTF-8 over four, rounded up: deterministic, and the same for messages and count_tokens. */
export function textTokens(text: string): number {
  return tokensOfBytes(Buffer.byteLength(text))
}

export function tokensOfBytes(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_TOKEN)
}

/** The longest beginning of `text` that `textTokens` counts as at most `tokens`; never splits a character. */
export function cutToTokens(text: string, tokens: number): string {
  const bytes = Buffer.from(text)
  const max = tokens * BYTES_PER_TOKEN
  if (bytes.length <= max) return text
  let end = max
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return bytes.toString('utf8', 0, end)
}

/** Tools, then system, then messages. Thinking that another model signed is left out where the model drops it. */
export function promptOf(request: MessagesRequest, model: Model): Prompt {
  const segments = [
    ...(request.tools ?? []).map((block) => segment('tools', 'system', block)),
    ...blocksOf(request.system).map((block) => segment('system', 'system', block)),
  ]
  for (const { role, content } of request.messages) {
    const blocks = blocksOf(content).filter((block) => !isDropped(block, model))
    blocks.forEach((block, index) => {
      const framing = index === blocks.length - 1 ? TOKENS_PER_MESSAGE : 0
      segments.push(segment('messages', role, block, framing))
    })
  }
  return { segments, totalTokens: segments.reduce((sum, s) => sum + s.tokens + s.framingTokens, 0) }
}

/** The same input in a writing that has more tokens for its bytes. */
export function dense(usage: CacheUsage, density = 1): CacheUsage {
  return {
    inputTokens: usage.inputTokens * density,
    creation5mTokens: usage.creation5mTokens * density,
    creation1hTokens: usage.creation1hTokens * density,
    readTokens: usage.readTokens * density,
  }
}

/** Where cache breakpoints may not stand. */
export function isCacheable({ type, text }: ContentBlock): boolean {
  return type !== 'thinking' && type !== 'redacted_thinking' && !(type === 'text' && text === '')
}

export function explicitCacheControl(block: ContentBlock): CacheControl | undefined {
  return block.cache_control ?? undefined
}

function segment(
  part: Segment['part'],
  role: string,
  block: ContentBlock,
  framingTokens = 0,
): Segment {
  return { part, role, block, tokens: blockTokens(block), framingTokens }
}

function blockTokens(block: ContentBlock): number {
  if (block.type === 'text') return textTokens(block.text ?? '')
  if (block.type === 'image') return TOKENS_PER_IMAGE
  if (block.type === 'thinking') return Math.max(THINKING_TOKENS, textTokens(block.thinking ?? ''))
  const { cache_control: _, ...content } = block
  return textTokens(JSON.stringify(content))
}

function isDropped(block: ContentBlock, model: Model): boolean {
  if (block.type !== 'thinking' || model.foreignThinking !== 'drop') return false
  return signedBy(block.thinking ?? '', block.signature ?? '') !== model.id
}
