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

/** Surcharges on the prices of an answer, as far as Anthropic reported them. */
export interface Rate {
  /** Where the model ran; `unknown` while it is not reported. */
  geo: 'anywhere' | 'surcharged' | 'unknown'
  isFast: boolean
}

/** The rate of a request without a response. */
export const UNKNOWN_RATE: Rate = { geo: 'unknown', isFast: false }

/** Tokens of the whole prompt, which decide the price band and count against the context window. */
export function totalInputTokens(usage: Usage): number {
  return (
    usage.inputTokens + usage.cacheWrite5mTokens + usage.cacheWrite1hTokens + usage.cacheReadTokens
  )
}

/** The sum, for an answer that was requested more than once. */
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
