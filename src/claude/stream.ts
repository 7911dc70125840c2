import type {
  MessageDeltaUsage,
  RawContentBlockDelta,
  RawMessageStreamEvent,
  Usage as UpstreamUsage,
} from '@anthropic-ai/sdk/resources/messages'
import type { ContentBlock } from './content.ts'
import { estimateTokens } from './tokens.ts'
import type { Usage } from './usage.ts'

/**
 * An answer as it grows out of its events (Anthropic API docs: Streaming messages). Unknown events
 * and deltas are ignored, as the API's versioning policy asks.
 *
 * Text is appended with `+=`, which V8 keeps as a rope: a delta costs the same however long the
 * text already is, until somebody reads it.
 */
export class Reply {
  readonly content: ContentBlock[] = []
  text = ''
  model: string
  requestId: string | null = null
  stopReason: string | null = null
  stopSequence: string | null = null
  refusalCategory: string | null = null
  /** Whether `message_stop` arrived: without it the answer is incomplete. */
  isFinished = false
  /** Inside a thinking block, which may be silent for as long as the model thinks. */
  isThinking = false
  firstTextAt: number | null = null
  /** A request is with Anthropic that was not answered with an error: it may be billed. */
  isUnderWay = false
  readonly #maxTokens: number
  readonly #onText: ((textSoFar: string) => void) | undefined
  readonly #partialJson = new Map<number, string>()
  /** The block that text is added to, and all text before it. */
  #growing: ContentBlock | undefined
  #textBefore = ''
  #startUsage: UpstreamUsage | null = null
  #finalUsage: MessageDeltaUsage | null = null

  constructor(model: string, maxTokens: number, onText?: (textSoFar: string) => void) {
    this.model = model
    this.#maxTokens = maxTokens
    this.#onText = onText
  }

  add(event: RawMessageStreamEvent): void {
    switch (event.type) {
      case 'message_start':
        this.model = event.message.model
        this.#startUsage = event.message.usage
        break
      case 'content_block_start':
        this.isThinking = event.content_block.type === 'thinking'
        this.content[event.index] = { ...event.content_block }
        break
      case 'content_block_delta':
        this.#grow(event.index, event.delta)
        break
      case 'content_block_stop':
        this.isThinking = false
        this.#closeBlock(event.index)
        break
      case 'message_delta':
        this.stopReason = event.delta.stop_reason ?? null
        this.stopSequence = event.delta.stop_sequence ?? null
        this.refusalCategory = event.delta.stop_details?.category ?? null
        this.#finalUsage = event.usage
        break
      case 'message_stop':
        this.isFinished = true
    }
  }

  /** Whether the model wrote anything at all, visible or not. */
  get hasOutput(): boolean {
    return this.content.some(
      ({ type, text, thinking, signature }) =>
        Boolean(text || thinking || signature) || (type !== 'text' && type !== 'thinking'),
    )
  }

  /** Whether the true count, which comes last, is due and never came. */
  get isUsageEstimated(): boolean {
    return this.#finalUsage === null && (this.#startUsage !== null || this.isUnderWay)
  }

  /** What will be billed, as far as is known; null before the answer began. */
  usage(): Usage | null {
    const start = this.#startUsage
    if (start === null) return null
    const last = this.#finalUsage
    const written = last?.cache_creation_input_tokens ?? start.cache_creation_input_tokens ?? 0
    // Only the first event splits writes by lifetime; without a split they are charged as 5 min.
    const writtenFor1h = Math.min(written, start.cache_creation?.ephemeral_1h_input_tokens ?? 0)
    return {
      inputTokens: last?.input_tokens ?? start.input_tokens,
      cacheWrite5mTokens: written - writtenFor1h,
      cacheWrite1hTokens: writtenFor1h,
      cacheReadTokens: last?.cache_read_input_tokens ?? start.cache_read_input_tokens ?? 0,
      outputTokens: last?.output_tokens ?? Math.max(start.output_tokens, this.#guessOutput()),
      thinkingTokens: last?.output_tokens_details?.thinking_tokens ?? 0,
    }
  }

  #grow(index: number, delta: RawContentBlockDelta): void {
    const block = this.content[index]
    if (block === undefined) return
    switch (delta.type) {
      case 'text_delta':
        this.#growText(block, delta.text)
        this.firstTextAt ??= performance.now()
        this.#onText?.(this.text)
        break
      case 'thinking_delta':
        block.thinking = (block.thinking ?? '') + delta.thinking
        break
      case 'signature_delta':
        block.signature = delta.signature
        break
      case 'citations_delta':
        if (Array.isArray(block.citations)) block.citations.push(delta.citation)
        else block.citations = [delta.citation]
        break
      case 'input_json_delta':
        this.#partialJson.set(index, (this.#partialJson.get(index) ?? '') + delta.partial_json)
    }
  }

  /**
   * The text of an only block is that very string, so that the one is read out for both. Blocks come
   * one after the other (Anthropic API docs: Streaming messages).
   */
  #growText(block: ContentBlock, text: string): void {
    if (this.#growing !== block) {
      this.#growing = block
      this.#textBefore = this.text
    }
    block.text = (block.text ?? '') + text
    this.text = this.#textBefore + block.text
  }

  #closeBlock(index: number): void {
    const json = this.#partialJson.get(index)
    const block = this.content[index]
    if (json && block !== undefined) block.input = JSON.parse(json)
  }

  /** Never more than was asked for, which is what the budget had room for. */
  #guessOutput(): number {
    const written = this.content.map(({ text, thinking }) => (text ?? '') + (thinking ?? ''))
    return Math.min(this.#maxTokens, estimateTokens(written.join('')))
  }
}
