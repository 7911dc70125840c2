import type { CacheUsage } from './prompt-cache.ts'

/** Nano-USD a token: input, output, write for 5 minutes, for 1 hour, read. */
type Prices = readonly [number, number, number, number, number]

/** The stand-in's own: what it bills must not depend on what the gateway believes. */
const BOOK: readonly [model: RegExp, prices: Prices, above100k?: Prices][] = [
  [/^claude-(fable|mythos)-5-2/, [8000, 40_000, 10_000, 16_000, 200]],
  [/^claude-(fable|mythos)-5-1/, [10_000, 50_000, 12_500, 20_000, 250]],
  [/^claude-(fable|mythos)-5/, [10_000, 50_000, 12_500, 20_000, 1000]],
  [/^claude-opus-5-5/, [4000, 20_000, 5000, 8000, 200]],
  [/^claude-opus-/, [5000, 25_000, 6250, 10_000, 500]],
  [/^claude-sonnet-5-5/, [2000, 10_000, 2500, 4000, 100]],
  [/^claude-sonnet-5/, [2000, 10_000, 2500, 4000, 200]],
  [/^claude-sonnet-4/, [3000, 15_000, 3750, 6000, 300]],
  [/^claude-haiku-5-5/, [100, 500, 125, 200, 10], [500, 2500, 625, 1000, 50]],
  [/^claude-haiku-4-5/, [1000, 5000, 1250, 2000, 100]],
]

/** What a call is charged at (Anthropic API docs: Pricing): decided by its whole input and its place. */
export interface Tariff {
  input(usage: CacheUsage): number
  output(tokens: number): number
}

export function tariffOf(model: string, usage: CacheUsage, geo: string | null): Tariff {
  const [, low, high] = BOOK.find(([pattern]) => pattern.test(model)) ?? []
  if (low === undefined) throw new Error(`The stand-in has no price for ${model}.`)
  const { inputTokens, creation5mTokens, creation1hTokens, readTokens } = usage
  const total = inputTokens + creation5mTokens + creation1hTokens + readTokens
  const [input, output, write5m, write1h, read] = high && total > 100_000 ? high : low
  const factor = geo === 'us' && !/-4-5(-|$)/.test(model) ? 1.1 : 1
  return {
    input: (of) =>
      factor *
      (of.inputTokens * input +
        of.creation5mTokens * write5m +
        of.creation1hTokens * write1h +
        of.readTokens * read),
    output: (tokens) => factor * tokens * output,
  }
}
