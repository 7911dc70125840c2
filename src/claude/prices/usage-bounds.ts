/**
 * Upper bounds of what can be billed where Anthropic's count is missing. Budgets are enforced with
 * them, so they err on the high side and are not guesses.
 */

import type { BuiltRequest } from '../request.ts'
import { inputTokensAtMost } from './input-bound.ts'
import type { Usage } from './usage.ts'

/** No model writes more than one token per millisecond, thinking included. */
const MOST_TOKENS_PER_MS = 1
/** Time until Anthropic notices that a client has disconnected. */
const NOTICING_MS = 250

/** Upper bounds of what an answer to a request may be billed. */
export interface Bounds {
  inputTokens: number
  /** `max_tokens`. */
  outputTokens: number
  /** Whether the request marks its prompt for the cache: then input may cost the write price. */
  writesCache: boolean
}

/** @param inputTokens upper bound of the input, where a better one than its bytes is known. */
export function boundsOf(
  body: BuiltRequest['body'],
  inputTokens = inputTokensAtMost(body),
): Bounds {
  const writesCache = body.cache_control !== undefined
  return { inputTokens, outputTokens: body.max_tokens, writesCache }
}

/**
 * Upper bound of the output written in the time, at most `max_tokens`.
 *
 * @param elapsedMs since the request was sent.
 * @param isOver whether Anthropic ended the answer, rather than this side or the connection.
 */
export function outputTokensAtMost(bounds: Bounds, elapsedMs: number, isOver: boolean): number {
  const writingMs = Math.max(0, elapsedMs) + (isOver ? 0 : NOTICING_MS)
  return Math.min(bounds.outputTokens, Math.ceil(writingMs * MOST_TOKENS_PER_MS))
}

/** Uncounted input, as the most expensive kind that it can be. */
export function uncountedInput(
  tokens: number,
  { writesCache }: Pick<Bounds, 'writesCache'>,
): Pick<Usage, 'inputTokens' | 'cacheWrite5mTokens'> {
  return writesCache
    ? { inputTokens: 0, cacheWrite5mTokens: tokens }
    : { inputTokens: tokens, cacheWrite5mTokens: 0 }
}

/** Upper bound for a request that was sent and got no response. */
export function usageAtMost(bounds: Bounds, elapsedMs: number): Usage {
  return {
    ...uncountedInput(bounds.inputTokens, bounds),
    cacheWrite1hTokens: 0,
    cacheReadTokens: 0,
    outputTokens: outputTokensAtMost(bounds, elapsedMs, false),
    thinkingTokens: 0,
  }
}
