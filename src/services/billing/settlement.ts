/** What a call came to: the prices that apply, its line of the ledger, and what its budgets lose. */

import type { ClaudeOutcome } from '../../claude/client.ts'
import {
  costNanoUsd,
  type PriceTable,
  type UnitPrices,
  WEB_SEARCH_NANO_USD,
} from '../../claude/prices/prices.ts'
import { addUsage, type Rate, totalInputTokens, type Usage } from '../../claude/prices/usage.ts'
import { usageAtMost } from '../../claude/prices/usage-bounds.ts'
import type { Amount, Reservation } from '../../repositories/billing/budgets.ts'
import type { LedgerEntry } from '../../repositories/billing/ledger.ts'

/** A call as it was reserved. */
export type ReservedCall = {
  reservation: Reservation
  /** The requested model. */
  model: { id: string }
  tag: string | null
}

/** What the ledger needs of how it ended. */
export type BilledOutcome = Pick<
  ClaudeOutcome,
  'usage' | 'usageEstimated' | 'rate' | 'model' | 'requestId'
>

/**
 * The prices of the call, as of the day of its reservation. If the model that the answer names has
 * no price, that of the requested model applies, as in the reservation.
 */
function settledPrices(
  { reservation, model: asked }: ReservedCall,
  { model, rate }: Pick<BilledOutcome, 'model' | 'rate'>,
  inputTokens: number,
  prices: PriceTable,
): UnitPrices | null {
  const at = new Date(reservation.day)
  return (
    prices.unitPrices(model, inputTokens, at, rate) ??
    prices.unitPrices(asked.id, inputTokens, at, rate) ??
    prices.dearestPrices(asked.id, reservation.likelyInputTokens, at)
  )
}

/** The ledger's line of a call that was billed; null when nothing was. */
export function toLedgerEntry(
  call: ReservedCall,
  outcome: BilledOutcome,
  prices: PriceTable,
): LedgerEntry | null {
  const { usage } = outcome
  if (usage === null) return null
  const unitPrices = settledPrices(call, outcome, totalInputTokens(usage), prices)
  return {
    model: outcome.model,
    inputTokens: usage.inputTokens,
    cacheWrite5mTokens: usage.cacheWrite5mTokens,
    cacheWrite1hTokens: usage.cacheWrite1hTokens,
    cacheReadTokens: usage.cacheReadTokens,
    outputTokens: usage.outputTokens,
    thinkingTokens: usage.thinkingTokens,
    unitPrices,
    costNanoUsd: unitPrices === null ? null : costNanoUsd(usage, unitPrices),
    estimated: outcome.usageEstimated,
    requestId: outcome.requestId,
    tag: call.tag,
  }
}

/** The amount that the line takes from the budgets. */
export function toSpent(entry: LedgerEntry | null, usage: Usage | null): Amount {
  if (entry === null || usage === null) return { nanoUsd: 0n, tokens: 0 }
  return {
    nanoUsd: entry.costNanoUsd ?? 0n,
    tokens: totalInputTokens(usage) + usage.outputTokens,
  }
}

/** What one model did within a call of several, such as a fallback or an advisor. */
export type Iteration = { model: string; usage: Usage; rate: Rate }

/**
 * The same for a call of the Messages API: the models' iterations at their own prices, if there are
 * any, and web searches. `iterations` are as the ledger stores them.
 */
export function toCallEntry(
  call: ReservedCall,
  outcome: BilledOutcome & { iterations: readonly Iteration[] | null; webSearches: number },
  prices: PriceTable,
) {
  const { iterations, webSearches } = outcome
  const usage = iterations?.map((one) => one.usage).reduce(addUsage) ?? outcome.usage
  const entry = toLedgerEntry(call, { ...outcome, usage }, prices)
  if (entry === null || usage === null) return { ...NOTHING_BILLED, ledgerRow: null }
  const priced = iterations?.map((one) => pricedIteration(call, one, prices)) ?? null
  const costs = priced?.map(({ nanoUsd }) => nanoUsd) ?? [entry.costNanoUsd]
  const isPriced = entry.unitPrices !== null && !costs.includes(null)
  const ofTokens = costs.reduce<bigint>((sum, cost) => sum + (cost ?? 0n), 0n)
  const ledgerRow: LedgerEntry = {
    ...entry,
    unitPrices: isPriced ? withSearches(entry.unitPrices, webSearches) : null,
    costNanoUsd: isPriced ? ofTokens + BigInt(webSearches * WEB_SEARCH_NANO_USD) : null,
  }
  return {
    ledgerRow,
    spent: toSpent(ledgerRow, usage),
    iterations: priced?.map(({ row }) => (isPriced ? row : { ...row, unit_prices: null })) ?? null,
  }
}

const NOTHING_BILLED = { spent: { nanoUsd: 0n, tokens: 0 }, iterations: null }

const withSearches = (unitPrices: object | null, webSearches: number) =>
  webSearches > 0 ? { ...unitPrices, webSearch: WEB_SEARCH_NANO_USD } : unitPrices

/** `row` is named like the ledger's columns, which `ledger verify` reads. */
function pricedIteration(call: ReservedCall, one: Iteration, prices: PriceTable) {
  const { usage, model } = one
  const unitPrices = settledPrices(call, one, totalInputTokens(usage), prices)
  return {
    nanoUsd: unitPrices === null ? null : costNanoUsd(usage, unitPrices),
    row: {
      model,
      input_tokens: usage.inputTokens,
      cache_write_5m_tokens: usage.cacheWrite5mTokens,
      cache_write_1h_tokens: usage.cacheWrite1hTokens,
      cache_read_tokens: usage.cacheReadTokens,
      output_tokens: usage.outputTokens,
      unit_prices: unitPrices,
    },
  }
}

/**
 * The usage of a call whose process died. It is unknown whether Anthropic was reached, and what it
 * counted, so the most that may have been written by now is booked, up to the reservation.
 */
export function usageOfOrphan(
  { tokens, likelyInputTokens: inputTokens, maxTokens }: Reservation,
  ageMs: number,
  writesCache: boolean,
): Usage {
  const outputTokens = maxTokens ?? Math.max(0, tokens - inputTokens)
  return usageAtMost({ inputTokens, outputTokens, writesCache }, ageMs)
}
