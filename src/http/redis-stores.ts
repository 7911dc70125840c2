import { setTimeout as sleep } from 'node:timers/promises'
import type { Options, Store } from 'express-rate-limit'
import { RedisStore } from 'rate-limit-redis'
import { createClient } from 'redis'
import { CircuitBreaker } from './circuit-breaker.ts'

/** How long the start waits for Redis, so that the first requests are counted there too. */
const CONNECT_WAIT_MS = 2000
/** Far above what Redis takes, and below what a person notices. */
const ANSWER_WITHIN_MS = 500

/**
 * Puts express-rate-limit's counters into Redis or Valkey. Commands fail at once while the server is away: the gateway
 * starts, and works with its memory limiter, without it. The same while the server hangs: one that
 * accepts commands and does not answer costs half a second once, and is then asked in the background.
 */
export async function openRedisStores(url: string, onError: (error: unknown) => void) {
  const client = createClient({ url, disableOfflineQueue: true })
  const stores: RedisStore[] = []
  const breaker = new CircuitBreaker({
    withinMs: ANSWER_WITHIN_MS,
    probe: () => client.ping(),
  })
  client.on('error', onError)
  // A store that could not load its scripts when it was made does not try again by itself.
  client.on('ready', () => {
    for (const store of stores) store.init({ windowMs: store.windowMs } as Options).catch(onError)
  })
  const connected = client.connect().catch(onError)
  await Promise.race([connected, sleep(CONNECT_WAIT_MS, undefined, { ref: false })])
  return {
    store: (prefix: string): Store => {
      const store = new RedisStore({
        prefix: `claude-api-gateway:${prefix}`,
        sendCommand: (...command: string[]) => client.sendCommand(command),
      })
      stores.push(store)
      return answeringInTime(store, breaker)
    },
    close: async () => client.destroy(),
  }
}

/** Connects once and asks once. @throws what the client throws, or that there was no answer in time. */
export async function tryRedis(url: string, withinMs: number): Promise<void> {
  const client = createClient({ url, socket: { reconnectStrategy: false } })
  client.on('error', () => {})
  const late = sleep(withinMs, undefined, { ref: false }).then(() => {
    throw new Error('no answer')
  })
  try {
    await Promise.race([client.connect().then(() => client.ping()), late])
  } finally {
    client.destroy()
  }
}

/** Its scripts are loaded whenever the server gets to it. */
const answeringInTime = (store: RedisStore, breaker: CircuitBreaker): Store => ({
  prefix: store.prefix,
  localKeys: false,
  init: (options) => store.init(options),
  increment: (key) => breaker.run(() => store.increment(key)),
  decrement: (key) => breaker.run(() => store.decrement(key)),
  resetKey: (key) => breaker.run(() => store.resetKey(key)),
})
