/** A price from a given day on, in whole nano-USD per token. */
export interface PriceEntry {
  model: string
  /** First UTC day, `YYYY-MM-DD`; it ends where the model's next entry begins. */
  effectiveFrom: string
  input: number
  output: number
  cacheWrite5m: number
  cacheWrite1h: number
  cacheRead: number
  /** Applies only to prompts longer than this, cached tokens included. */
  abovePromptTokens?: number
}

/** For prices that have not changed since the model was released. */
const SINCE_LAUNCH = '2025-01-01'

/** USD per million tokens for input, output, 5 min write, 1 h write, cache read. */
type PublishedPrice = readonly [number, number, number, number, number]

function price(
  model: string,
  [input, output, cacheWrite5m, cacheWrite1h, cacheRead]: PublishedPrice,
  rest: { effectiveFrom?: string; abovePromptTokens?: number } = {},
): PriceEntry {
  return {
    model,
    effectiveFrom: SINCE_LAUNCH,
    input: Math.round(input * 1000),
    output: Math.round(output * 1000),
    cacheWrite5m: Math.round(cacheWrite5m * 1000),
    cacheWrite1h: Math.round(cacheWrite1h * 1000),
    cacheRead: Math.round(cacheRead * 1000),
    ...rest,
  }
}

/** Models that cost the same wherever they run (Anthropic API docs: Pricing, Data residency). */
export const WITHOUT_GEO_SURCHARGE: ReadonlySet<string> = new Set([
  'claude-opus-4-5',
  'claude-sonnet-4-5',
  'claude-haiku-4-5',
])

/** Surcharge for running in one region only: a tenth more, for every kind of token. */
export const GEO_PERCENT = 110
/** Fast mode costs twice as much on every model that has it. */
export const FAST_PERCENT = 200

/**
 * List prices of the Messages API (Anthropic API docs: Pricing), state of 2026-11-22, without
 * surcharges. The gateway requests no batches, no fast mode and no region, but a workspace of the
 * key's account may set a region.
 */
export const ANTHROPIC_PRICES: readonly PriceEntry[] = [
  price('claude-fable-5-2', [8, 40, 10, 16, 0.2]),
  price('claude-mythos-5-2', [8, 40, 10, 16, 0.2]),
  price('claude-fable-5-1', [10, 50, 12.5, 20, 0.25]),
  price('claude-mythos-5-1', [10, 50, 12.5, 20, 0.25]),
  price('claude-fable-5', [10, 50, 12.5, 20, 1]),
  price('claude-mythos-5', [10, 50, 12.5, 20, 1]),
  price('claude-opus-5-5', [4, 20, 5, 8, 0.2]),
  price('claude-opus-5', [5, 25, 6.25, 10, 0.5]),
  price('claude-opus-4-8', [5, 25, 6.25, 10, 0.5]),
  price('claude-opus-4-7', [5, 25, 6.25, 10, 0.5]),
  price('claude-opus-4-6', [5, 25, 6.25, 10, 0.5]),
  price('claude-opus-4-5', [5, 25, 6.25, 10, 0.5]),
  price('claude-sonnet-5-5', [2, 10, 2.5, 4, 0.2]),
  price('claude-sonnet-5-5', [2, 10, 2.5, 4, 0.1], { effectiveFrom: '2026-10-07' }),
  price('claude-sonnet-5', [2, 10, 2.5, 4, 0.2]),
  price('claude-sonnet-4-6', [3, 15, 3.75, 6, 0.3]),
  price('claude-sonnet-4-5', [3, 15, 3.75, 6, 0.3]),
  price('claude-haiku-5-5', [0.1, 0.5, 0.125, 0.2, 0.01]),
  price('claude-haiku-5-5', [0.5, 2.5, 0.625, 1, 0.05], { abovePromptTokens: 100_000 }),
  price('claude-haiku-4-5', [1, 5, 1.25, 2, 0.1]),
]
