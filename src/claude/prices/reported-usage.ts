import { type Fields, fieldsOf, toTokens } from '../upstream-value.ts'
import type { Rate, Usage } from './usage.ts'
import { type Bounds, uncountedInput } from './usage-bounds.ts'

type Count =
  | 'input'
  | 'cacheWrite'
  | 'cacheWrite5m'
  | 'cacheWrite1h'
  | 'cacheRead'
  | 'begun'
  | 'output'
  | 'thinking'

const WRITINGS = ['cacheWrite', 'cacheWrite5m', 'cacheWrite1h'] as const

/** Where a model may run without a surcharge (Anthropic API docs: Data residency). */
const ANYWHERE = new Set<unknown>([undefined, null, '', 'global', 'not_available'])

/**
 * Collects the usage that an answer's events report, field by field. Counts only grow, so the
 * largest one is the newest; invalid counts are ignored (Anthropic API docs: Streaming messages).
 */
export class ReportedUsage {
  readonly #counts = new Map<Count, number>()
  /** Counts that arrived with an invalid value. */
  readonly #garbled = new Set<Count>()
  #rate: Rate = { geo: 'unknown', isFast: false }

  get rate(): Rate {
    return this.#rate
  }

  /** The usage of `message_start`, whose output has only begun. */
  addStart(usage: unknown): void {
    this.#add(usage, 'begun')
  }

  /** The usage of a `message_delta`: cumulative, without the split of cache writes. */
  addDelta(usage: unknown): void {
    this.#add(usage, 'output')
  }

  /** Lower bound of the output; 0 while none is reported. */
  get outputSoFar(): number {
    return Math.max(this.#get('begun'), this.#get('output'))
  }

  /** The output that a `message_delta` reported. */
  get output(): number | undefined {
    return this.#counts.get('output')
  }

  /** Whether the output exceeds what the first event reports for every answer. */
  get hasOutput(): boolean {
    return this.#get('output') > Math.max(1, this.#get('begun'))
  }

  get thinking(): number {
    return this.#get('thinking')
  }

  /** The input by kind, as reported. @param unsplit what writes count as that are not split. */
  counted(unsplit: '5m' | '1h' = '5m'): Omit<Usage, 'outputTokens' | 'thinkingTokens'> {
    const [for5m, for1h] = [this.#get('cacheWrite5m'), this.#get('cacheWrite1h')]
    const rest = this.#written - for5m - for1h
    return {
      inputTokens: this.#get('input'),
      cacheWrite5mTokens: for5m + (unsplit === '5m' ? rest : 0),
      cacheWrite1hTokens: for1h + (unsplit === '1h' ? rest : 0),
      cacheReadTokens: this.#get('cacheRead'),
    }
  }

  /** The input by kind. Missing counts are replaced by the request's upper bound. */
  input(bounds: Bounds): Omit<Usage, 'outputTokens' | 'thinkingTokens'> {
    // Without a split, all are 5-minute writes, which is what the gateway requests.
    const known = this.counted()
    const written = this.#written
    if (this.isInputKnown) return known
    const rest = bounds.inputTokens - known.inputTokens - written - known.cacheReadTokens
    const { inputTokens, cacheWrite5mTokens } = uncountedInput(Math.max(0, rest), bounds)
    return {
      ...known,
      inputTokens: known.inputTokens + inputTokens,
      cacheWrite5mTokens: known.cacheWrite5mTokens + cacheWrite5mTokens,
    }
  }

  /** Cache counts may be absent, but the total cannot be 0: there is always a message. */
  get isInputKnown(): boolean {
    const isWritingKnown = this.#counts.has('cacheWrite') || !this.#isGarbled(...WRITINGS)
    const isReadingKnown = this.#counts.has('cacheRead') || !this.#isGarbled('cacheRead')
    const isWhole = isWritingKnown && isReadingKnown
    const total = this.#get('input') + this.#written + this.#get('cacheRead')
    return this.#counts.has('input') && isWhole && total > 0
  }

  get #written(): number {
    const split = this.#get('cacheWrite5m') + this.#get('cacheWrite1h')
    return Math.max(this.#get('cacheWrite'), split)
  }

  #add(reported: unknown, output: 'begun' | 'output'): void {
    const usage = fieldsOf(reported)
    this.#note('input', usage.input_tokens)
    this.#note('cacheWrite', usage.cache_creation_input_tokens)
    const split = fieldsOf(usage.cache_creation)
    this.#note('cacheWrite5m', split.ephemeral_5m_input_tokens)
    this.#note('cacheWrite1h', split.ephemeral_1h_input_tokens)
    this.#note('cacheRead', usage.cache_read_input_tokens)
    this.#note(output, usage.output_tokens)
    this.#note('thinking', fieldsOf(usage.output_tokens_details).thinking_tokens)
    // Only the first event must report the region.
    const tellsRate = output === 'begun' ? Object.keys(usage).length > 0 : 'inference_geo' in usage
    if (tellsRate) this.#noteRate(usage)
  }

  #note(count: Count, value: unknown): void {
    const tokens = toTokens(value)
    if (tokens !== undefined) this.#counts.set(count, Math.max(this.#get(count), tokens))
    else if (value !== undefined && value !== null) this.#garbled.add(count)
  }

  /** An unknown region counts as the most expensive one. */
  #noteRate({ inference_geo: geo, speed }: Fields): void {
    const isElsewhere = !ANYWHERE.has(typeof geo === 'string' ? geo.toLowerCase() : geo)
    const { geo: before, isFast } = this.#rate
    this.#rate = {
      geo: isElsewhere || before === 'surcharged' ? 'surcharged' : 'anywhere',
      isFast: isFast || speed === 'fast',
    }
  }

  #isGarbled(...counts: Count[]): boolean {
    return counts.some((count) => this.#garbled.has(count) && !this.#counts.has(count))
  }

  #get(count: Count): number {
    return this.#counts.get(count) ?? 0
  }
}
