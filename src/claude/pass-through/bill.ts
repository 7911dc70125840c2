/** What a call that passed through is charged for, by count or by estimate. */

import { type Rate, UNKNOWN_RATE, type Usage } from '../prices/usage.ts'
import type { Charge, UsageReport } from './usage-report.ts'

export type Bill = {
  charges: readonly Charge[]
  rate: Rate
  webSearches: number
  /** Whether it includes what Anthropic has not counted. */
  isEstimated: boolean
}

/** What is known of a call besides its usage. */
export type CallFacts = {
  model: string
  maxTokens: number
  /** The likely input: not its upper bound. */
  likelyInputTokens: number
  cacheWrites: 'none' | '5m' | '1h'
  isStream: boolean
}

/** How far a call has come. */
export type Progress = {
  report: UsageReport
  /** Bytes of text that the answer has shown. */
  textBytes: number
  estimatedThinkingTokens: number
  /** How long it has thought without showing it. */
  silentMs: number
  /** Since the request was written; null: it never was. */
  sentMs: number | null
}

const BYTES_PER_TOKEN = 3
/** An upper estimate of how fast a model writes. */
const TOKENS_PER_SECOND = 50

/** Null when nothing is billed: it was never sent, or refused before any output. */
export function billOf(call: CallFacts, progress: Progress): Bill | null {
  const { report } = progress
  const unsplit = call.cacheWrites === '1h' ? '1h' : '5m'
  if (report.isFreeRefusal) return null
  const { rate, webSearches } = report
  if (report.isComplete) {
    const isEstimated = rate.geo === 'unknown' || report.isGarbled
    return { charges: report.charges(call.model, unsplit), rate, webSearches, isEstimated }
  }
  if (progress.sentMs === null) return null
  if (!report.hasStarted) return { ...unanswered(call, progress.sentMs), isEstimated: true }
  const model = report.model ?? call.model
  const counted = report.counted(unsplit)
  const input = report.isInputKnown ? counted : { ...counted, ...likelyInput(call) }
  const usage = { ...input, outputTokens: outputOf(call, progress) }
  return { charges: [{ model, usage }], rate, webSearches, isEstimated: true }
}

/** Input is billed once it was accepted. Without a stream nothing shows how much was written. */
function unanswered(call: CallFacts, sentMs: number): Omit<Bill, 'isEstimated'> {
  const outputTokens = call.isStream ? 0 : Math.min(call.maxTokens, tokensIn(sentMs))
  const usage: Usage = { ...likelyInput(call), outputTokens, thinkingTokens: 0 }
  return { charges: [{ model: call.model, usage }], rate: UNKNOWN_RATE, webSearches: 0 }
}

/** At most `max_tokens`, which was held, unless more was counted. */
function outputOf({ maxTokens }: CallFacts, progress: Progress): number {
  const { report, textBytes, estimatedThinkingTokens, silentMs } = progress
  const thought = Math.max(estimatedThinkingTokens, tokensIn(silentMs))
  const written = Math.ceil(textBytes / BYTES_PER_TOKEN) + thought
  return Math.max(report.outputSoFar, Math.min(maxTokens, written))
}

function likelyInput({ likelyInputTokens: tokens, cacheWrites }: CallFacts) {
  return {
    inputTokens: cacheWrites === 'none' ? tokens : 0,
    cacheWrite5mTokens: cacheWrites === '5m' ? tokens : 0,
    cacheWrite1hTokens: cacheWrites === '1h' ? tokens : 0,
    cacheReadTokens: 0,
  }
}

const tokensIn = (ms: number) => Math.ceil((ms / 1000) * TOKENS_PER_SECOND)
