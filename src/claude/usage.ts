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

/** The whole prompt in tokens: what decides a price band and counts against the window. */
export function totalInputTokens(usage: Usage): number {
  return (
    usage.inputTokens + usage.cacheWrite5mTokens + usage.cacheWrite1hTokens + usage.cacheReadTokens
  )
}
