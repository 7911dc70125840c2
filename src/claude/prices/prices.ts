import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { check, inWords, type Problem } from '../../text/problems.ts'
import {
  ANTHROPIC_PRICES,
  FAST_PERCENT,
  GEO_PERCENT,
  type PriceEntry,
  WITHOUT_GEO_SURCHARGE,
} from './price-list.ts'
import { type Rate, UNKNOWN_RATE, type Usage } from './usage.ts'

/**
 * Nano-USD (a billionth of a dollar) per token. One USD per million tokens is 1000 of them, so
 * every published price is a whole number and no cost is ever rounded.
 */
export interface UnitPrices {
  input: number
  output: number
  cacheWrite5m: number
  cacheWrite1h: number
  cacheRead: number
}

export class PriceTable {
  readonly #byModel = new Map<string, PriceEntry[]>()

  constructor(entries: readonly PriceEntry[]) {
    const newestFirst = [...entries].sort(
      (a, b) =>
        b.effectiveFrom.localeCompare(a.effectiveFrom) ||
        (b.abovePromptTokens ?? 0) - (a.abovePromptTokens ?? 0),
    )
    for (const entry of newestFirst) {
      const sameModel = this.#byModel.get(entry.model)
      if (sameModel === undefined) this.#byModel.set(entry.model, [entry])
      else sameModel.push(entry)
    }
  }

  /**
   * The price of one token of each kind on that day, or null when this model's price is unknown.
   * A dated id (`claude-haiku-4-5-20251001`) costs the same as its undated one.
   *
   * @param totalInputTokens the whole prompt, cached parts included: it decides the band, and the
   * band applies to all tokens of the request.
   * @param rate surcharges; half a nano-USD is rounded up.
   */
  unitPrices(
    model: string,
    totalInputTokens: number,
    at: Date,
    rate: Rate = STANDARD_RATE,
  ): UnitPrices | null {
    const [dearest] = this.#reachable(model, totalInputTokens, at)
    return dearest === undefined ? null : multiplied(dearest, surchargePercent(model, rate))
  }

  /**
   * Upper bound of the price of one token of each kind, for a call with up to `inputAtMost` tokens
   * in the most expensive region.
   */
  dearestPrices(model: string, inputAtMost: number, at: Date): UnitPrices | null {
    const [first, ...others] = this.#reachable(model, inputAtMost, at)
    if (first === undefined) return null
    const dearest = others.reduce<UnitPrices>(dearer, first)
    return multiplied(dearest, surchargePercent(model, UNKNOWN_RATE))
  }

  /** The bands that a prompt of up to `totalInputTokens` can be in, that of the longest first. */
  #reachable(model: string, totalInputTokens: number, at: Date): PriceEntry[] {
    const entries = this.#byModel.get(model) ?? this.#byModel.get(withoutDate(model)) ?? []
    const day = at.toISOString().slice(0, 10)
    const current = entries.find((entry) => entry.effectiveFrom <= day)?.effectiveFrom
    return entries.filter(
      ({ effectiveFrom, abovePromptTokens = -1 }) =>
        effectiveFrom === current && totalInputTokens > abovePromptTokens,
    )
  }
}

const STANDARD_RATE: Rate = { geo: 'anywhere', isFast: false }

const withoutDate = (model: string): string => model.replace(/-\d{8}$/, '')

/** An unknown region counts as the most expensive one. */
function surchargePercent(model: string, { geo, isFast }: Rate): number {
  const hasGeo = geo !== 'anywhere' && !WITHOUT_GEO_SURCHARGE.has(withoutDate(model))
  return ((hasGeo ? GEO_PERCENT : 100) * (isFast ? FAST_PERCENT : 100)) / 100
}

const eachKind = (priceOf: (kind: keyof UnitPrices) => number): UnitPrices => ({
  input: priceOf('input'),
  output: priceOf('output'),
  cacheWrite5m: priceOf('cacheWrite5m'),
  cacheWrite1h: priceOf('cacheWrite1h'),
  cacheRead: priceOf('cacheRead'),
})

const multiplied = (prices: UnitPrices, percent: number): UnitPrices =>
  eachKind((kind) => Math.ceil((prices[kind] * percent) / 100))

const dearer = (a: UnitPrices, b: UnitPrices): UnitPrices =>
  eachKind((kind) => Math.max(a[kind], b[kind]))

/** Of one web search; failed ones are not billed (Anthropic API docs: Pricing). */
export const WEB_SEARCH_NANO_USD = 10_000_000

/** Exact cost in nano-USD. Thinking tokens are part of the output and are not charged twice. */
export function costNanoUsd(usage: Usage, prices: UnitPrices): bigint {
  const charge = (tokens: number, price: number) => BigInt(tokens) * BigInt(price)
  return (
    charge(usage.inputTokens, prices.input) +
    charge(usage.cacheWrite5mTokens, prices.cacheWrite5m) +
    charge(usage.cacheWrite1hTokens, prices.cacheWrite1h) +
    charge(usage.cacheReadTokens, prices.cacheRead) +
    charge(usage.outputTokens, prices.output)
  )
}

/** USD per million tokens, as prices are published, to nano-USD per token. */
const UsdPerMillion = z
  .number()
  .nonnegative()
  .max(1_000_000)
  .refine((usd) => Math.abs(usd * 1000 - Math.round(usd * 1000)) < 1e-6, {
    error: 'must be a multiple of 0.001 USD per million tokens',
  })
  .transform((usd) => Math.round(usd * 1000))

/**
 * One row of a price file: `[{"model": "claude-sonnet-5-5", "effective_from": "2026-12-01",
 * "input": 2, "output": 10, "cache_write_5m": 2.5, "cache_write_1h": 4, "cache_read": 0.1}]`.
 * Prices are USD per million tokens; without `effective_from` the row applies at any time;
 * `above_prompt_tokens` makes it the band for longer prompts.
 */
const OverrideEntry = z.strictObject({
  model: z.string().min(1),
  effective_from: z.iso.date().default('0001-01-01'),
  input: UsdPerMillion,
  output: UsdPerMillion,
  cache_write_5m: UsdPerMillion,
  cache_write_1h: UsdPerMillion,
  cache_read: UsdPerMillion,
  above_prompt_tokens: z.int().positive().optional(),
})

/**
 * Anthropic's prices, overridden by the operator's rows: from the first date that the override has
 * for a model, only the override counts for that model.
 *
 * @param overrideJson parsed JSON of the documented shape, an array of rows.
 * @throws AppError `invalid_input` that names the bad field.
 */
export function loadPriceTable(overrideJson?: unknown): PriceTable {
  if (overrideJson === undefined) return new PriceTable(ANTHROPIC_PRICES)
  const { data, problems } = check(z.array(OverrideEntry), overrideJson)
  if (problems) throw badPriceFile(problems)
  const overrides = data.map(toPriceEntry)
  const kept = ANTHROPIC_PRICES.filter((ours) => !overrides.some((row) => supersedes(row, ours)))
  return new PriceTable([...kept, ...overrides])
}

function supersedes(override: PriceEntry, ours: PriceEntry): boolean {
  return override.model === ours.model && override.effectiveFrom <= ours.effectiveFrom
}

function toPriceEntry(row: z.infer<typeof OverrideEntry>): PriceEntry {
  return {
    model: row.model,
    effectiveFrom: row.effective_from,
    input: row.input,
    output: row.output,
    cacheWrite5m: row.cache_write_5m,
    cacheWrite1h: row.cache_write_1h,
    cacheRead: row.cache_read,
    ...(row.above_prompt_tokens === undefined
      ? {}
      : { abovePromptTokens: row.above_prompt_tokens }),
  }
}

function badPriceFile(problems: readonly Problem[]): AppError {
  const fields = problems.map((problem) => inWords(problem, 'the file'))
  return new AppError('invalid_input', `The price table is not valid: ${fields.join('; ')}.`, {
    details: { fields },
  })
}
