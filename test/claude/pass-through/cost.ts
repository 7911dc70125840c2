import type { Bill } from '../../../src/claude/pass-through/bill.ts'
import {
  costNanoUsd,
  type PriceTable,
  WEB_SEARCH_NANO_USD,
} from '../../../src/claude/prices/prices.ts'
import { totalInputTokens } from '../../../src/claude/prices/usage.ts'

/** Each charge at its own model's price and band, and web searches, to which no surcharge applies. */
export function costOf(
  { charges, rate, webSearches }: Pick<Bill, 'charges' | 'rate' | 'webSearches'>,
  prices: PriceTable,
  at: Date,
): bigint {
  let sum = BigInt(webSearches * WEB_SEARCH_NANO_USD)
  for (const { model, usage } of charges) {
    const unitPrices = prices.unitPrices(model, totalInputTokens(usage), at, rate)
    if (unitPrices === null) throw new Error(`${model} has no price`)
    sum += costNanoUsd(usage, unitPrices)
  }
  return sum
}
