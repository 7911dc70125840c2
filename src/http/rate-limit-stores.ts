import type { Options, Store } from 'express-rate-limit'
import { RedisStore } from 'rate-limit-redis'
import { createClient } from 'redis'

/** Shared counters in the database; each call is one statement. */
export type RateLimitCounters = {
  take(key: string, windowMs: number): Promise<{ hits: number; resetAt: Date }>
  giveBack(key: string): Promise<void>
  delete(key: string): Promise<void>
}

/** Puts express-rate-limit's counters into PostgreSQL. */
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

/** Puts them into Redis or Valkey. Commands fail at once while the server is away. */
export async function openRedisStores(url: string, onError: (error: unknown) => void) {
  const client = createClient({ url, disableOfflineQueue: true })
  client.on('error', onError)
  // Not awaited: the gateway starts, and works with its memory limiter, without Redis.
  client.connect().catch(onError)
  return {
    store: (prefix: string): Store =>
      new RedisStore({
        prefix: `claude-api-gateway:${prefix}`,
        sendCommand: (...command: string[]) => client.sendCommand(command),
      }),
    close: async () => client.destroy(),
  }
}
