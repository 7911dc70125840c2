import type { Options, Store } from 'express-rate-limit'

/** Shared counters in the database; each call is one statement. */
export type RateLimitCounters = {
  take(key: string, windowMs: number): Promise<{ hits: number; resetAt: Date }>
  giveBack(key: string): Promise<void>
  delete(key: string): Promise<void>
}

/** Keeps express-rate-limit's counters in PostgreSQL. */
export function counterStore(counters: RateLimitCounters, prefix: string): Store {
  let windowMs = 60_000
  return {
    prefix,
    localKeys: false,
    init(options: Options) {
      windowMs = options.windowMs
    },
    async increment(key) {
      const { hits, resetAt } = await counters.take(prefix + key, windowMs)
      return { totalHits: hits, resetTime: resetAt }
    },
    decrement: (key) => counters.giveBack(prefix + key),
    resetKey: (key) => counters.delete(prefix + key),
  }
}
