import { AnswerContent } from './answer-content.ts'
import { ReportedUsage } from './prices/reported-usage.ts'
import { addUsage, type Rate, type Usage } from './prices/usage.ts'
import { type Bounds, outputTokensAtMost, usageAtMost } from './prices/usage-bounds.ts'
import { type Fields, fieldsOf, toLabel, toText } from './upstream-value.ts'

/**
 * Accumulates an answer from its events (Anthropic API docs: Streaming messages). Unknown events
 * and deltas are ignored, as the API's versioning policy asks. Malformed ones are ignored too: the
 * rest of the answer is paid for.
 */
export class MessageAccumulator {
  readonly content = new AnswerContent()
  /** The model that `message_start` names; until then the requested one. */
  model: string
  requestId: string | null = null
  stopReason: string | null = null
  stopSequence: string | null = null
  refusalCategory: string | null = null
  /** Whether `message_stop` arrived: without it the answer is incomplete. */
  isFinished = false
  /** Inside a thinking block, which may be silent for as long as the model thinks. */
  isThinking = false
  readonly #bounds: Bounds
  readonly #onText: ((textSoFar: string) => void) | undefined
  readonly #reported = new ReportedUsage()
  /** Whether an event of an answer has arrived. */
  #hasBegun = false
  #sentAt: number | null = null
  #endedAt: number | null = null
  /** Usage of earlier attempts that got no response. */
  #lost: Usage | null = null

  /** @param bounds upper bounds of what one attempt may be billed. */
  constructor(model: string, bounds: Bounds, onText?: (textSoFar: string) => void) {
    this.model = model
    this.#bounds = bounds
    this.#onText = onText
  }

  /** Called before a request is sent. An earlier one without a response may be billed too. */
  beginAttempt(): void {
    if (this.isUnderWay) {
      const usage = usageAtMost(this.#bounds, this.#elapsedMs)
      this.#lost = this.#lost === null ? usage : addUsage(this.#lost, usage)
    }
    this.#sentAt = null
  }

  /** Called when the request is being written. */
  noteSent(): void {
    this.#sentAt = performance.now()
  }

  /** Called when Anthropic reports an error, which is free unless an answer had begun. */
  noteError(): void {
    if (this.#hasBegun) this.#endedAt ??= performance.now()
    else this.#sentAt = null
  }

  /** Whether a request was sent and not refused: it may be billed. */
  get isUnderWay(): boolean {
    return this.#sentAt !== null
  }

  /** Upper bound of what may be billed for earlier attempts. */
  get lostUsage(): Usage | null {
    return this.#lost
  }

  /** Never throws. */
  add(event: unknown): void {
    const fields = fieldsOf(event)
    this.#hasBegun = true
    switch (fields.type) {
      case 'message_start':
        this.#start(fieldsOf(fields.message))
        break
      case 'content_block_start':
        this.isThinking = fieldsOf(fields.content_block).type === 'thinking'
        this.content.open(fields.index, fieldsOf(fields.content_block))
        break
      case 'content_block_delta':
        if (this.content.grow(fields.index, fieldsOf(fields.delta))) {
          this.#onText?.(this.content.text)
        }
        break
      case 'content_block_stop':
        this.isThinking = false
        this.content.close(fields.index)
        break
      case 'message_delta':
        this.#reported.addDelta(fields.usage)
        this.#end(fieldsOf(fields.delta))
        break
      case 'message_stop':
        this.isFinished = true
        this.#endedAt ??= performance.now()
    }
  }

  /** Whether the model wrote anything at all, visible or not. */
  get hasOutput(): boolean {
    return this.content.hasOutput || this.#reported.hasOutput
  }

  /** Whether {@link usage} includes upper bounds that Anthropic has not counted. */
  get isUsageEstimated(): boolean {
    if (!this.#mayBeBilled) return false
    const { isInputKnown, rate } = this.#reported
    return this.#countedOutput === undefined || !isInputKnown || rate.geo === 'unknown'
  }

  get rate(): Rate {
    return this.#reported.rate
  }

  /**
   * What is billed, lost attempts included: for each field Anthropic's count, else its upper bound.
   * Null when nothing is billed.
   */
  usage(): Usage | null {
    if (!this.#mayBeBilled) return this.#lost
    const outputTokens = this.#countedOutput ?? this.#outputAtMost()
    const thinkingTokens = Math.min(outputTokens, this.#reported.thinking)
    const usage = { ...this.#reported.input(this.#bounds), outputTokens, thinkingTokens }
    return this.#lost === null ? usage : addUsage(this.#lost, usage)
  }

  get #mayBeBilled(): boolean {
    return this.#hasBegun || this.isUnderWay
  }

  /** The final count: not one from before the end, and not 0 for an answer with output. */
  get #countedOutput(): number | undefined {
    const { output } = this.#reported
    const isFinal = this.isFinished || this.stopReason !== null
    return isFinal && (output !== 0 || !this.content.hasOutput) ? output : undefined
  }

  /** At most the requested `max_tokens`, which the budget has reserved, unless more was counted. */
  #outputAtMost(): number {
    const inTime = outputTokensAtMost(this.#bounds, this.#elapsedMs, this.#endedAt !== null)
    // A text has at most as many tokens as bytes.
    const atMost = Math.min(this.#bounds.outputTokens, Math.max(inTime, this.content.bytes))
    return Math.max(this.#reported.outputSoFar, atMost)
  }

  get #elapsedMs(): number {
    return (this.#endedAt ?? performance.now()) - (this.#sentAt ?? Number.NEGATIVE_INFINITY)
  }

  #start({ model, usage }: Fields): void {
    this.model = toLabel(model) ?? this.model
    this.#reported.addStart(usage)
  }

  #end(delta: Fields): void {
    this.stopReason = toLabel(delta.stop_reason) ?? this.stopReason
    this.stopSequence = toText(delta.stop_sequence).toWellFormed() || this.stopSequence
    this.refusalCategory = toLabel(fieldsOf(delta.stop_details).category) ?? this.refusalCategory
    if (this.stopReason !== null) this.#endedAt ??= performance.now()
  }
}
