import { setTimeout as sleep } from 'node:timers/promises'
import type { Options, Store } from 'express-rate-limit'
import { RedisStore } from 'rate-limit-redis'
import { createClient } from 'redis'
import { CircuitBreaker } from './circuit-breaker.ts'

/** How long startup waits for Redis, so that the first requests are counted there too. */
const CONNECT_WAIT_MS = 2000
/** Far above Redis's usual latency, and below what a person notices. */
const ANSWER_WITHIN_MS = 500

/**
 * Keeps express-rate-limit's counters in Redis or Valkey. While the server is down, commands fail
 * at once: the gateway starts and runs with its memory limiter. While it hangs (accepts commands
 * and does not answer), commands time out after 500 ms once, and a background ping probes it.
 */
export async function openRedisStores(url: string, onError: (error: unknown) => void) {
  const client = createClient({ url, disableOfflineQueue: true })
  const stores: RedisStore[] = []
  const breaker = new CircuitBreaker({
    withinMs: ANSWER_WITHIN_MS,
    probe: () => client.ping(),
  })
  client.on('error', onError)
  // A store whose scripts failed to load at creation does not retry by itself.
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

/** Connects and pings once. @throws the client's error, or one that says the answer timed out. */
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

/** `init` bypasses the breaker: its scripts load when the server gets to them. */
const answeringInTime = (store: RedisStore, breaker: CircuitBreaker): Store => ({
  prefix: store.prefix,
  localKeys: false,
  init: (options) => store.init(options),
  increment: (key) => breaker.run(() => store.increment(key)),
  decrement: (key) => breaker.run(() => store.decrement(key)),
  resetKey: (key) => breaker.run(() => store.resetKey(key)),
})
