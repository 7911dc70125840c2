import { type FinishedMessage, finalUsage, messageStart } from './message.ts'
import type { Answer } from './reply.ts'
import { tokensOfBytes } from './tokens.ts'
import type { ContentBlock } from './wire.ts'

/** One server-sent event, ready to write, and how many output tokens it brings. */
export interface Frame {
  data: string
  tokens: number
  kind: 'start' | 'text' | 'end' | 'other'
  /** How long it takes the model, whatever else delays it. */
  pauseMs?: number
}

const THINKING_SLICE_MS = 20

export const PING = event('ping', {})

/** @param data the event's payload without its `type`, which repeats the event's name. */
function event(type: string, data: object): string {
  return rawEvent(type, JSON.stringify({ type, ...data }))
}

export function rawEvent(type: string, json: string): string {
  return `event: ${type}\ndata: ${json}\n\n`
}

type Chunks = { chunkSize: number; splitsCharacters: boolean }

/** The events of a whole message in order, one ping after the first block start (Anthropic API docs: Streaming messages). */
export function* framesOf(message: FinishedMessage, chunks: Chunks): Generator<Frame> {
  const { answer } = message
  yield frame(event('message_start', { message: messageStart(message) }), 0, 'start')
  for (const [index, output] of answer.blocks.entries()) {
    const start = event('content_block_start', { index, content_block: opening(output.block) })
    yield frame(start, hasDeltas(output.block) ? 0 : output.tokens)
    if (index === 0) yield frame(PING)
    const unseen = output.block.type === 'thinking' ? answer.thinkingMs : 0
    if (unseen > 0) yield* thinkingUnseen(output.tokens, unseen)
    yield* deltas(index, unseen > 0 ? { ...output, tokens: 0 } : output, chunks)
    yield frame(event('content_block_stop', { index }))
  }
  const { stopReason: stop_reason, stopSequence: stop_sequence, stopDetails: stop_details } = answer
  const delta = { stop_reason, stop_sequence, stop_details, container: null }
  yield frame(event('message_delta', { delta, usage: finalUsage(message) }), 0, 'end')
  if (message.oddity === 'second_delta') {
    yield frame(event('message_delta', { delta: {}, usage: { output_tokens: 0 } }), 0, 'end')
  }
  yield frame(event('message_stop', {}), 0, 'end')
}

/** Nothing is seen of it, and every token of it is billed as it is thought. */
function* thinkingUnseen(tokens: number, ms: number): Generator<Frame> {
  const slices = Math.max(1, Math.round(ms / THINKING_SLICE_MS))
  for (let slice = 0; slice < slices; slice++) {
    const upTo = (part: number) => Math.floor((tokens * part) / slices)
    const thought = upTo(slice + 1) - upTo(slice)
    yield { ...frame('', thought), pauseMs: ms / slices }
  }
}

function frame(data: string, tokens = 0, kind: Frame['kind'] = 'other'): Frame {
  return { data, tokens, kind }
}

function hasDeltas({ type }: ContentBlock): boolean {
  return type === 'text' || type === 'thinking' || type === 'tool_use'
}

function opening(block: ContentBlock): ContentBlock {
  if (block.type === 'text') return { ...block, text: '' }
  if (block.type === 'thinking') return { ...block, thinking: '', signature: '' }
  if (block.type === 'tool_use') return { ...block, input: {} }
  return block
}

function* deltas(index: number, { block, tokens }: Answer['blocks'][number], chunks: Chunks) {
  const delta = (fields: object) => event('content_block_delta', { index, delta: fields })
  if (block.type === 'text') yield* textDeltas(index, block.text ?? '', chunks)
  if (block.type === 'thinking') {
    const { thinking, signature } = block
    if (thinking) yield frame(delta({ type: 'thinking_delta', thinking }))
    yield frame(delta({ type: 'signature_delta', signature }), tokens)
  }
  if (block.type === 'tool_use') {
    const partial_json = JSON.stringify(block.input ?? {})
    yield frame(delta({ type: 'input_json_delta', partial_json }), tokens)
  }
}

/** Tokens are charged as they appear, so that they add up to the count of the whole text. */
function* textDeltas(index: number, text: string, chunks: Chunks): Generator<Frame> {
  let charged = 0
  let bytes = 0
  for (const chunk of chunksOf(text, chunks)) {
    bytes += Buffer.byteLength(chunk)
    const tokens = tokensOfBytes(bytes) - charged
    charged += tokens
    const delta = { type: 'text_delta', text: chunk }
    yield frame(event('content_block_delta', { index, delta }), tokens, 'text')
  }
}

/** Pieces of about `chunkSize` UTF-16 units, which split no character unless they are to. */
function* chunksOf(text: string, { chunkSize: size, splitsCharacters }: Chunks): Generator<string> {
  let start = 0
  while (start < text.length) {
    let end = start + size
    if (!splitsCharacters && /[\uD800-\uDBFF]/.test(text.charAt(end - 1))) end += 1
    yield text.slice(start, end)
    start = end
  }
}
