import type { ContentBlock } from './content.ts'
import { parseJson } from './transport/event-stream.ts'
import { type Fields, toText } from './upstream-value.ts'

/** More blocks than any answer has: a larger index is invalid. */
const MAX_BLOCKS = 10_000

/**
 * The blocks of an answer as they grow. Never throws: malformed events are ignored.
 *
 * Text is appended with `+=`, which V8 stores as a rope: a delta costs the same however long the
 * text already is, until the text is read.
 */
export class AnswerContent {
  readonly blocks: ContentBlock[] = []
  /** All text blocks, joined. */
  text = ''
  hasTextBegun = false
  readonly #partialJson = new Map<number, string>()
  /** The block that text is added to, and all text before it. */
  #growing: ContentBlock | undefined
  #textBefore = ''

  /** Whether the model wrote anything at all, visible or not. */
  get hasOutput(): boolean {
    return this.blocks.some(
      ({ type, text, thinking, signature }) =>
        Boolean(text || thinking || signature) || (type !== 'text' && type !== 'thinking'),
    )
  }

  /** UTF-8 bytes of all visible text and thinking. */
  get bytes(): number {
    return this.blocks.reduce(
      (sum, { text, thinking }) => sum + Buffer.byteLength(toText(text) + toText(thinking)),
      0,
    )
  }

  open(index: unknown, block: Fields): void {
    if (isIndex(index) && typeof block.type === 'string') {
      this.blocks[index] = { ...block, type: block.type }
    }
  }

  /** @returns whether it was text. */
  grow(index: unknown, delta: Fields): boolean {
    const block = isIndex(index) ? this.blocks[index] : undefined
    if (block === undefined) return false
    switch (delta.type) {
      case 'text_delta':
        this.#growText(block, toText(delta.text))
        return true
      case 'thinking_delta':
        block.thinking = toText(block.thinking) + toText(delta.thinking)
        break
      case 'signature_delta':
        block.signature = toText(delta.signature)
        break
      case 'citations_delta':
        if (Array.isArray(block.citations)) block.citations.push(delta.citation)
        else block.citations = [delta.citation]
        break
      case 'input_json_delta':
        this.#growJson(index as number, toText(delta.partial_json))
    }
    return false
  }

  close(index: unknown): void {
    if (!isIndex(index)) return
    const input = parseJson(this.#partialJson.get(index) ?? '')
    const block = this.blocks[index]
    if (input !== undefined && block !== undefined) block.input = input
  }

  /**
   * With a single block, its text and the whole text are the same string, so V8 flattens it once.
   * Blocks come one after the other (Anthropic API docs: Streaming messages).
   */
  #growText(block: ContentBlock, text: string): void {
    if (this.#growing !== block) {
      this.#growing = block
      this.#textBefore = this.text
    }
    block.text = toText(block.text) + text
    this.text = this.#textBefore + block.text
    this.hasTextBegun = true
  }

  #growJson(index: number, json: string): void {
    this.#partialJson.set(index, (this.#partialJson.get(index) ?? '') + json)
  }
}

const isIndex = (index: unknown): index is number =>
  Number.isInteger(index) && (index as number) >= 0 && (index as number) < MAX_BLOCKS
