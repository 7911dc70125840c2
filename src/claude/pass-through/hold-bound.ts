/** The most that a call may cost, which its budgets must have room for before it is sent. */

import { MODELS } from '../models.ts'
import { FAST_PERCENT } from '../prices/price-list.ts'
import { type PriceTable, type UnitPrices, WEB_SEARCH_NANO_USD } from '../prices/prices.ts'
import { isRetired } from '../retired-models.ts'
import type { RequestFacts, ServerTool } from './request-facts.ts'

/** Input is held whole; output can be lowered, token by token. */
export type HoldBound = {
  inputTokens: number
  /** Asked for. */
  maxTokens: number
  /** A shorter answer would cost more in continuations than it saves. */
  leastTokens: number
  /** The highest that may apply; null when the price of a model that may serve is unknown. */
  unitPrices: UnitPrices | null
  cachesFor1h: boolean
  /** Of web searches. */
  otherNanoUsd: bigint
}

/** The most that the newest models take an image for; older ones take a third. */
const TOKENS_PER_IMAGE = 4784
/** Overhead of the prompt around the text: a token is at least a byte of the rest. */
const TOKENS_PER_REQUEST = 1024
/** Where the model is unknown, and for documents of unknown length. */
const WIDEST_WINDOW_TOKENS = 1_000_000
/** For a tool of Anthropic's without a limit of its own. */
const USES_AT_MOST = 10
const TOKENS_PER_USE = 25_000
/** A count is an estimate, off by little. */
const COUNT_MARGIN = 1.05
const LEAST_USEFUL_TOKENS = 16_384
/** Bytes of ordinary text, code and JSON for a token. */
const LIKELY_BYTES_PER_TOKEN = 3.5

/** The likely input: for calls that end before Anthropic counts it. */
export function likelyInputTokens(facts: RequestFacts): number {
  const text = Math.ceil(facts.textBytes / LIKELY_BYTES_PER_TOKEN)
  return Math.min(windowOf(facts.model), text + facts.images * TOKENS_PER_IMAGE)
}

/** Whether the prompt was taken to fill the window, and a count of it would tell more. */
export const gainsByCount = (facts: RequestFacts): boolean =>
  facts.isCountable && hasUnknownLength(facts)

/**
 * At the dearest price of the models that may serve, in the dearest region.
 *
 * @param countedTokens what Anthropic counted the prompt as: documents are bounded by it.
 */
export function holdBoundOf(
  facts: RequestFacts,
  prices: PriceTable,
  at: Date,
  countedTokens?: number,
): HoldBound {
  const models = modelsOf(facts)
  const inputTokens = inputAtMost(facts, models, countedTokens)
  const maxTokens = Math.max(facts.maxTokens?.value ?? 0, facts.fallbackMaxTokens ?? 0)
  return {
    inputTokens,
    maxTokens,
    leastTokens: leastTokensOf(facts, maxTokens),
    unitPrices: dearestOf(models, inputTokens, facts, prices, at),
    cachesFor1h: facts.cacheWrites === '1h',
    otherNanoUsd: searchCost(facts),
  }
}

/**
 * All that may serve. Which ones Anthropic falls back to by itself is not known. A retired one has no
 * price, and passes all the same: clients know Anthropic's own refusal.
 */
function modelsOf({ model, otherModels, hasOpenFallbacks }: RequestFacts): string[] {
  const named = [model, ...otherModels]
  const served = named.filter((name) => !isRetired(name))
  const isOpen = hasOpenFallbacks || served.length < named.length
  return isOpen ? [...served, ...MODELS.map(({ id }) => id)] : served
}

/**
 * Above the budget of thinking, which an answer must exceed, and not below what a fallback asks for
 * itself: only the `max_tokens` of the call can be lowered.
 */
function leastTokensOf(
  { thinkingBudgetTokens, fallbackMaxTokens }: RequestFacts,
  maxTokens: number,
): number {
  const aboveThinking = thinkingBudgetTokens === null ? 0 : thinkingBudgetTokens + 1
  const least = Math.max(LEAST_USEFUL_TOKENS, aboveThinking, fallbackMaxTokens ?? 0)
  return Math.min(maxTokens, least)
}

/** A longer prompt than the window is refused, and not billed. */
function inputAtMost(
  facts: RequestFacts,
  models: readonly string[],
  countedTokens: number | undefined,
): number {
  const { serverTools } = facts
  const window = Math.max(...models.map(windowOf))
  const prompt = Math.min(window, promptAtMost(facts, countedTokens))
  if (serverTools.length === 0) return prompt
  // Each round reads the prompt again, mostly from the cache.
  return prompt * 2 + serverTools.reduce((sum, tool) => sum + resultTokens(tool), 0)
}

function promptAtMost(facts: RequestFacts, countedTokens: number | undefined): number {
  const { textBytes, images } = facts
  if (!hasUnknownLength(facts)) {
    return textBytes + images * TOKENS_PER_IMAGE + TOKENS_PER_REQUEST
  }
  if (countedTokens === undefined) return Number.POSITIVE_INFINITY
  return Math.ceil(countedTokens * COUNT_MARGIN) + TOKENS_PER_REQUEST
}

const hasUnknownLength = ({ documents, remoteSources }: RequestFacts) =>
  documents + remoteSources > 0

/** A dated id has the window of its undated one. */
function windowOf(model: string): number {
  const name = model.replace(/-\d{8}$/, '')
  const info = MODELS.find(
    ({ id, pointers }) => id === model || id === name || pointers.includes(name),
  )
  return info?.contextTokens ?? WIDEST_WINDOW_TOKENS
}

const usesOf = ({ maxUses }: ServerTool) => maxUses ?? USES_AT_MOST

function resultTokens(tool: ServerTool): number {
  if (tool.kind === 'compact' || tool.kind === 'tool_search') return 0
  return usesOf(tool) * (tool.maxContentTokens ?? TOKENS_PER_USE)
}

function searchCost({ serverTools }: RequestFacts): bigint {
  const searches = serverTools.filter(({ kind }) => kind === 'web_search')
  return searches.reduce((sum, tool) => sum + BigInt(usesOf(tool) * WEB_SEARCH_NANO_USD), 0n)
}

function dearestOf(
  models: readonly string[],
  inputTokens: number,
  { isFast }: RequestFacts,
  prices: PriceTable,
  at: Date,
): UnitPrices | null {
  let dearest: UnitPrices | null = null
  for (const model of models) {
    const unit = prices.dearestPrices(model, inputTokens, at)
    if (unit === null) return null
    dearest = dearest === null ? unit : dearer(dearest, unit)
  }
  return dearest === null || !isFast ? dearest : times(dearest, FAST_PERCENT / 100)
}

const dearer = (a: UnitPrices, b: UnitPrices): UnitPrices => ({
  input: Math.max(a.input, b.input),
  output: Math.max(a.output, b.output),
  cacheWrite5m: Math.max(a.cacheWrite5m, b.cacheWrite5m),
  cacheWrite1h: Math.max(a.cacheWrite1h, b.cacheWrite1h),
  cacheRead: Math.max(a.cacheRead, b.cacheRead),
})

const times = (unit: UnitPrices, factor: number): UnitPrices => ({
  input: unit.input * factor,
  output: unit.output * factor,
  cacheWrite5m: unit.cacheWrite5m * factor,
  cacheWrite1h: unit.cacheWrite1h * factor,
  cacheRead: unit.cacheRead * factor,
})
