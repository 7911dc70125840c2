/** The most that a call may use: what its budgets must have room for. */

import { textBlock } from '../../claude/history.ts'
import type { ResolvedModel } from '../../claude/models.ts'
import { inputTokensAtMost } from '../../claude/prices/input-bound.ts'
import type { PriceTable } from '../../claude/prices/prices.ts'
import type { WorstCase } from '../billing/budgets.ts'
import { type Turn, toMessages } from '../conversations/history/history-window.ts'

/** A smaller input is not worth a count, which would free little room. */
const WORTH_A_COUNT_TOKENS = 512
/** Margin on Anthropic's count, which is an estimate. */
const COUNT_MARGIN_SHARE = 0.05
const COUNT_MARGIN_TOKENS = 64

type Asked = {
  model: ResolvedModel
  systemPrompt: string | undefined
  turns: readonly Turn[]
  message: string
  wantedTokens: number
  /** Anthropic's count of the input; null: unavailable; undefined: not requested yet. */
  counted: number | null | undefined
  at: Date
}

/** Input and output in tokens, and the highest prices that may apply. */
export function worstCaseOf(asked: Asked, prices: PriceTable): WorstCase {
  const { model, wantedTokens, at } = asked
  const inputTokens = inputAtMost(asked)
  const maxTokens = Math.min(wantedTokens, model.info?.maxOutputTokens ?? wantedTokens)
  const unitPrices = prices.dearestPrices(model.id, inputTokens, at)
  return { inputTokens, maxTokens, unitPrices }
}

/** Whether a count may make room where the worst case does not fit. */
export function isWorthACount({ counted }: Pick<Asked, 'counted'>, worst: WorstCase): boolean {
  return counted === undefined && worst.inputTokens >= WORTH_A_COUNT_TOKENS
}

function inputAtMost({ model, systemPrompt, turns, message, counted }: Asked): number {
  const inBytes = inputTokensAtMost({
    ...(systemPrompt ? { system: [textBlock(systemPrompt)] } : {}),
    messages: [...toMessages(turns), { role: 'user', content: [textBlock(message)] }],
  })
  // A prompt longer than the window is refused, and not billed.
  const inWindow = model.info?.contextTokens ?? inBytes
  return Math.min(inBytes, inWindow, counted ? withMargin(counted) : inBytes)
}

const withMargin = (counted: number): number =>
  Math.ceil(counted * (1 + COUNT_MARGIN_SHARE)) + COUNT_MARGIN_TOKENS
