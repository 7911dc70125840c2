/**
 * The most that can be billed where Anthropic's own count is missing. Budgets are held by these, so
 * they are upper bounds, not guesses; what they are too high by is the price of not knowing.
 */

import type { BuiltRequest } from '../request.ts'
import { inputTokensAtMost } from './input-bound.ts'
import type { Usage } from './usage.ts'

/** No model writes more than a token a millisecond; thinking is written unseen, but no faster. */
const MOST_TOKENS_PER_MS = 1
/** Until Anthropic has noticed that a client has left. */
const NOTICING_MS = 250

/** What a request allows an answer to be billed for. */
export interface Bounds {
  inputTokens: number
  /** `max_tokens`. */
  outputTokens: number
  /** Whether the request marks its prompt for the cache, so that input may cost what writing does. */
  writesCache: boolean
}

/** @param inputTokens the most that its input can be, where that is known better than by its bytes. */
export function boundsOf(
  body: BuiltRequest['body'],
  inputTokens = inputTokensAtMost(body),
): Bounds {
  const writesCache = body.cache_control !== undefined
  return { inputTokens, outputTokens: body.max_tokens, writesCache }
}

/**
 * The most output that was written in the time, as far as `max_tokens` allows.
 *
 * @param elapsedMs since the request was sent.
 * @param isOver whether Anthropic ended the answer, rather than this side or the connection.
 */
export function outputTokensAtMost(bounds: Bounds, elapsedMs: number, isOver: boolean): number {
  const writingMs = Math.max(0, elapsedMs) + (isOver ? 0 : NOTICING_MS)
  return Math.min(bounds.outputTokens, Math.ceil(writingMs * MOST_TOKENS_PER_MS))
}

/** Input nobody has counted, at the dearest kind it can be of. */
export function uncountedInput(
  tokens: number,
  { writesCache }: Pick<Bounds, 'writesCache'>,
): Pick<Usage, 'inputTokens' | 'cacheWrite5mTokens'> {
  return writesCache
    ? { inputTokens: 0, cacheWrite5mTokens: tokens }
    : { inputTokens: tokens, cacheWrite5mTokens: 0 }
}

/** A request that was sent, and of which nothing was heard again. */
export function usageAtMost(bounds: Bounds, elapsedMs: number): Usage {
  return {
    ...uncountedInput(bounds.inputTokens, bounds),
    cacheWrite1hTokens: 0,
    cacheReadTokens: 0,
    outputTokens: outputTokensAtMost(bounds, elapsedMs, false),
    thinkingTokens: 0,
  }
}
