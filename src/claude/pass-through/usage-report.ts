/**
 * The usage of an answer that passes through: top-level counts, or one entry for each time a model
 * ran, which then is the billing record (Anthropic API docs: Usage and cost).
 */

import { ReportedUsage } from '../prices/reported-usage.ts'
import type { Rate, Usage } from '../prices/usage.ts'
import { type Fields, fieldsOf, toLabel, toTokens } from '../upstream-value.ts'

/** What one run of a model is charged for. */
export type Charge = { model: string; usage: Usage }

export class UsageReport {
  readonly #top = new ReportedUsage()
  #iterations: readonly Fields[] = []
  #webSearches = 0
  #speed: string | null = null
  #geo: string | null = null
  #tier: string | null = null
  /** The one that the answer names; null until then. */
  model: string | null = null
  stopReason: string | null = null
  /** Whether the answer has begun, as far as can be read. */
  hasStarted = false
  /** Whether the runs of models were told in a form that cannot be read. */
  isGarbled = false

  /** The `message` of `message_start`. */
  addStart(message: unknown): void {
    const { model, usage } = fieldsOf(message)
    this.hasStarted = true
    this.model = toLabel(model) ?? this.model
    this.#top.addStart(usage)
    this.#addRest(fieldsOf(usage))
  }

  /** A `message_delta`: counts are cumulative, and may exceed those of the start. */
  addDelta(event: unknown): void {
    const { delta, usage } = fieldsOf(event)
    this.hasStarted = true
    this.stopReason = toLabel(fieldsOf(delta).stop_reason) ?? this.stopReason
    this.#top.addDelta(usage)
    this.#addRest(fieldsOf(usage))
  }

  /** A whole message. */
  addWhole({ model, usage, stop_reason }: Fields): void {
    // Its output has not only begun.
    this.addStart({ model, usage: { ...fieldsOf(usage), output_tokens: undefined } })
    this.addDelta({ delta: { stop_reason }, usage })
  }

  /** Whether Anthropic has counted all that it bills. */
  get isComplete(): boolean {
    const isCounted = this.#iterations.length > 0 || this.#top.isInputKnown
    return this.stopReason !== null && this.#top.output !== undefined && isCounted
  }

  /** A refusal before any output is not billed. */
  get isFreeRefusal(): boolean {
    const hasOutput = this.#top.hasOutput || this.#iterations.some(wrote)
    return this.stopReason === 'refusal' && this.isComplete && !hasOutput
  }

  /** Output reported so far: a lower bound. */
  get outputSoFar(): number {
    return this.#top.outputSoFar
  }

  get isInputKnown(): boolean {
    return this.#top.isInputKnown
  }

  /** Surcharges of what served, which may differ from what was asked for. */
  get rate(): Rate {
    return this.#top.rate
  }

  get webSearches(): number {
    return this.#webSearches
  }

  /** As reported, for the record. */
  get served(): { speed: string | null; geo: string | null; tier: string | null } {
    return { speed: this.#speed, geo: this.#geo, tier: this.#tier }
  }

  /** Top-level counts, with the output reported so far. */
  counted(unsplit: '5m' | '1h'): Usage {
    const outputTokens = this.outputSoFar
    const thinkingTokens = Math.min(outputTokens, this.#top.thinking)
    return { ...this.#top.counted(unsplit), outputTokens, thinkingTokens }
  }

  /** One charge for each time a model ran, without attempts that declined before any output. */
  charges(asked: string, unsplit: '5m' | '1h'): Charge[] {
    const model = this.model ?? asked
    if (this.#iterations.length === 0) return [{ model, usage: this.counted(unsplit) }]
    const served = this.#iterations.findLastIndex(({ type }) => type === 'fallback_message')
    const isRefused = this.stopReason === 'refusal'
    return this.#iterations
      .filter((one, index) => wrote(one) || (index >= served && !isRefused))
      .map((one) => chargeOf(one, model, unsplit))
  }

  #addRest(usage: Fields): void {
    this.#speed = toLabel(usage.speed) ?? this.#speed
    this.#geo = toLabel(usage.inference_geo) ?? this.#geo
    this.#tier = toLabel(usage.service_tier) ?? this.#tier
    const searches = toTokens(fieldsOf(usage.server_tool_use).web_search_requests) ?? 0
    this.#webSearches = Math.max(this.#webSearches, searches)
    const { iterations } = usage
    if (Array.isArray(iterations)) this.#noteIterations(iterations.map(fieldsOf))
  }

  /** A run without counts would cost nothing: then those of the whole answer are taken. */
  #noteIterations(runs: readonly Fields[]): void {
    this.isGarbled = !runs.every(isCounted)
    this.#iterations = this.isGarbled ? [] : runs
  }
}

const wrote = (iteration: Fields) => (toTokens(iteration.output_tokens) ?? 0) > 0

const isCounted = ({ input_tokens, output_tokens }: Fields) =>
  toTokens(input_tokens) !== undefined && toTokens(output_tokens) !== undefined

/** An entry without a model of its own is of the model that answered. */
function chargeOf(iteration: Fields, model: string, unsplit: '5m' | '1h'): Charge {
  const reported = new ReportedUsage()
  reported.addDelta(iteration)
  const outputTokens = reported.outputSoFar
  const thinkingTokens = Math.min(outputTokens, reported.thinking)
  return {
    model: toLabel(iteration.model) ?? model,
    usage: { ...reported.counted(unsplit), outputTokens, thinkingTokens },
  }
}
