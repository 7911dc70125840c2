/** What Anthropic bills for one answer, in tokens. The parts do not overlap, except the last. */
export interface Usage {
  /** Input that was neither read from the cache nor written to it. */
  inputTokens: number
  cacheWrite5mTokens: number
  cacheWrite1hTokens: number
  cacheReadTokens: number
  /** Everything the model wrote, thinking included. */
  outputTokens: number
  /** Of `outputTokens`, those spent on thinking: for information, never charged again. */
  thinkingTokens: number
}

/** What multiplies the prices of an answer, as far as Anthropic said. */
export interface Rate {
  /** Where the model ran; `unknown` while nothing was heard of it. */
  geo: 'anywhere' | 'surcharged' | 'unknown'
  isFast: boolean
}

/** Of an answer of which nothing was heard. */
export const UNKNOWN_RATE: Rate = { geo: 'unknown', isFast: false }

/** The whole prompt in tokens: what decides a price band and counts against the window. */
export function totalInputTokens(usage: Usage): number {
  return (
    usage.inputTokens + usage.cacheWrite5mTokens + usage.cacheWrite1hTokens + usage.cacheReadTokens
  )
}

/** Both together, for an answer that was asked for more than once. */
export function addUsage(a: Usage, b: Usage): Usage {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    cacheWrite5mTokens: a.cacheWrite5mTokens + b.cacheWrite5mTokens,
    cacheWrite1hTokens: a.cacheWrite1hTokens + b.cacheWrite1hTokens,
    cacheReadTokens: a.cacheReadTokens + b.cacheReadTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    thinkingTokens: a.thinkingTokens + b.thinkingTokens,
  }
}
