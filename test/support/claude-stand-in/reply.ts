import type { Oddity } from './oddity.ts'
import { sign } from './signature.ts'
import { cutToTokens, THINKING_TOKENS, textTokens } from './tokens.ts'
import type { Checked } from './validation.ts'
import { blocksOf, type ContentBlock, type MessagesRequest, type ThinkingType } from './wire.ts'

/** What the model is to say. `content` replaces the thinking block and the text. */
export interface Reply {
  text?: string
  stopReason?: string
  stopSequence?: string
  /** Makes the answer a refusal; partial `text` may precede it. */
  refusalCategory?: string | null
  content?: ContentBlock[]
  /** Makes it think first, whatever was asked for: so many tokens, unseen, over so long. */
  thinks?: { tokens: number; ms: number }
  /** How many times the usual tokens its prompt has; 4 is about one a byte. */
  inputDensity?: number
  /** `us` costs a tenth more on current models. */
  geo?: string
  /** What it calls its model: anything. */
  calledModel?: unknown
  oddity?: Oddity
  /** Further usage that the answer reports: `iterations`, `server_tool_use`, `speed`. */
  alsoUsed?: Record<string, unknown>
}

export type ReplySource = Reply | ((request: MessagesRequest) => Reply | string) | undefined

/** A finished answer, before it is written as JSON or as a stream. */
export interface Answer {
  blocks: { block: ContentBlock; tokens: number }[]
  stopReason: string
  stopSequence: string | null
  stopDetails: { type: 'refusal'; category: string | null; explanation: string | null } | null
  outputTokens: number
  thinkingTokens: number
  /** How long it thinks unseen. */
  thinkingMs: number
  /** A refusal before any output is not billed (Anthropic API docs: Refusals). */
  isBilled: boolean
}

/** The thinking type in force, `disabled` where the model does not think unless asked. */
export function effectiveThinking({ request, model }: Checked): ThinkingType {
  return request.thinking?.type ?? (model.thinksByDefault ? 'adaptive' : 'disabled')
}

/** Answers a request: `reply`, or an echo of the last user text, under the request's limits. */
export function answer(checked: Checked, reply: Reply): Answer {
  const isRefusal = reply.stopReason === 'refusal' || reply.refusalCategory !== undefined
  const { blocks, stopReason, stopSequence } = limited(
    checked,
    draft(checked, reply, isRefusal),
    reply.thinks?.tokens,
  )
  const tokensOf = (wanted: (block: ContentBlock) => boolean) =>
    blocks.reduce((sum, { block, tokens }) => sum + (wanted(block) ? tokens : 0), 0)
  return {
    blocks,
    stopReason: stopReason ?? (isRefusal ? 'refusal' : (reply.stopReason ?? 'end_turn')),
    stopSequence: stopSequence ?? reply.stopSequence ?? null,
    stopDetails: isRefusal ? refusalDetails(reply.refusalCategory ?? null) : null,
    outputTokens: tokensOf(() => true),
    thinkingTokens: tokensOf(({ type }) => type === 'thinking'),
    thinkingMs: reply.thinks?.ms ?? 0,
    isBilled: !isRefusal || blocks.length > 0,
  }
}

export function resolveReply(request: MessagesRequest, source: ReplySource): Reply {
  const reply = typeof source === 'function' ? source(request) : source
  if (typeof reply === 'string') return { text: reply }
  return reply ?? {}
}

function draft(checked: Checked, reply: Reply, isRefusal: boolean): ContentBlock[] {
  if (reply.content) return reply.content
  const text = reply.text ?? (isRefusal ? '' : lastUserText(checked.request))
  const spoken = text === '' ? [] : [{ type: 'text', text, citations: null }]
  const mode = effectiveThinking(checked)
  if (reply.thinks) return [thought(checked), ...spoken]
  const thinks = (mode === 'adaptive' || mode === 'enabled') && !(isRefusal && text === '')
  return thinks ? [thought(checked), ...spoken] : spoken
}

function thought({ request, model }: Checked): ContentBlock {
  const thinking = request.thinking?.display === 'summarized' ? 'Thinking it over.' : ''
  return { type: 'thinking', thinking, signature: sign(thinking, model.id) }
}

function lastUserText({ messages }: MessagesRequest): string {
  const last = messages.findLast(({ role }) => role === 'user')
  return blocksOf(last?.content)
    .map(({ type, text = '' }) => (type === 'text' ? text : ''))
    .join('')
}

function refusalDetails(category: string | null) {
  return { type: 'refusal' as const, category, explanation: 'The stand-in was told to refuse.' }
}

/** Applies stop sequences, `max_tokens` and the context window, whichever ends the text first. */
function limited(
  { request, model, prompt }: Checked,
  drafted: ContentBlock[],
  thinkingTokens = THINKING_TOKENS,
) {
  const window = model.contextTokens - prompt.totalTokens
  let room = Math.min(request.max_tokens, window)
  const full = window < request.max_tokens ? 'model_context_window_exceeded' : 'max_tokens'
  const blocks: Answer['blocks'] = []
  if (room === 0) return { blocks, stopReason: full }

  for (const block of drafted) {
    const stop =
      block.type === 'text' ? firstStop(block.text ?? '', request.stop_sequences) : undefined
    const whole = stop ? { ...block, text: stop.before } : block
    const tokens = outputTokens(whole, thinkingTokens)
    if (tokens > room) {
      const part = fitting(whole, room)
      if (part)
        blocks.push({ block: part, tokens: outputTokens(part, Math.min(room, thinkingTokens)) })
      return { blocks, stopReason: full }
    }
    if (stop?.before !== '') blocks.push({ block: whole, tokens })
    if (stop) return { blocks, stopReason: 'stop_sequence', stopSequence: stop.sequence }
    room -= tokens
  }
  return { blocks }
}

function firstStop(text: string, sequences: string[] | null | undefined) {
  let first: { before: string; sequence: string } | undefined
  for (const sequence of sequences ?? []) {
    const at = text.indexOf(sequence)
    if (at >= 0 && at < (first?.before.length ?? Infinity))
      first = { before: text.slice(0, at), sequence }
  }
  return first
}

/** The part of a block that `room` tokens allow; a block other than text is whole or absent. */
function fitting(block: ContentBlock, room: number): ContentBlock | undefined {
  if (block.type === 'thinking') return room > 0 ? block : undefined
  const text = block.type === 'text' ? cutToTokens(block.text ?? '', room) : ''
  return text === '' ? undefined : { ...block, text }
}

function outputTokens(block: ContentBlock, thinkingTokens: number): number {
  if (block.type === 'text') return textTokens(block.text ?? '')
  if (block.type === 'thinking') return thinkingTokens
  return textTokens(JSON.stringify(block))
}
