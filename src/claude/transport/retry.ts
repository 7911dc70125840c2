import { setTimeout as sleep } from 'node:timers/promises'
import { APIConnectionError, APIError, APIUserAbortError } from '@anthropic-ai/sdk/core/error'
import type { CallDeadline } from './call-deadline.ts'

const MAX_TRIES = 2
const LONGEST_WAIT_MS = 10_000
const BACKOFF_MS = 500

/** A spend limit lasts until next month: an early retry is pointless. */
const SPENT = new Set(['enforced_spend_limit_reached', 'contract_spend_limit_reached'])

/**
 * Runs an attempt, and retries once when the error is retryable. An attempt ends with the response
 * headers: a request is not retried once its answer has begun.
 *
 * @param options.mayRepeat whether the failed attempt may be retried although both may be billed.
 * @throws what the last attempt threw.
 */
export async function withRetry<T>(
  watch: CallDeadline,
  attempt: () => Promise<T>,
  { mayRepeat = () => true }: { mayRepeat?: () => boolean } = {},
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      watch.expectFirst()
      return await attempt()
    } catch (thrown) {
      watch.expectSilence()
      const delayMs = tries < MAX_TRIES && mayRepeat() ? retryDelayMs(thrown) : null
      if (delayMs === null || watch.stopped !== null || delayMs >= watch.remainingMs) throw thrown
      await sleep(delayMs, undefined, { signal: watch.signal })
    }
  }
}

/**
 * Milliseconds to wait before a retry, or null for no retry. `x-should-retry` decides if present;
 * `retry-after` is obeyed up to 10 s, and a longer one is left to the caller.
 */
function retryDelayMs(thrown: unknown): number | null {
  if (!(thrown instanceof APIError) || thrown instanceof APIUserAbortError) return null
  if (thrown instanceof APIConnectionError) return jittered(BACKOFF_MS)
  if (!mayRetry(thrown)) return null
  const wantedMs = retryAfterMs(thrown.headers)
  if (wantedMs === null) return jittered(BACKOFF_MS)
  return wantedMs <= LONGEST_WAIT_MS ? wantedMs : null
}

function mayRetry({ status, headers, errorCode }: APIError): boolean {
  if (status === undefined || isSpent(errorCode)) return false
  const verdict = headers?.get('x-should-retry')
  if (verdict === 'true' || verdict === 'false') return verdict === 'true'
  if (status === 429) return retryAfterMs(headers) !== null
  return status === 408 || status === 409 || status >= 500
}

export function isSpent(errorCode: string | null): boolean {
  return errorCode !== null && SPENT.has(errorCode)
}

/** The wait that upstream asks for: `retry-after-ms`, else `retry-after` as seconds or a date. */
export function retryAfterMs(headers: Headers | undefined): number | null {
  const ms = Number.parseFloat(headers?.get('retry-after-ms') ?? '')
  if (ms >= 0) return ms
  const value = headers?.get('retry-after') ?? ''
  const wait = /^\s*[\d.]+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isFinite(wait) ? Math.max(0, wait) : null
}

/** Jitter: up to a quarter less, so that many callers do not retry at the same instant. */
function jittered(ms: number): number {
  return ms * (1 - Math.random() * 0.25)
}
