/**
 * Caches the claims of recently verified tokens, so that a token's signature is not checked again
 * for each request. Whether its session still exists is checked every time.
 */

import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'

/** The longest time in the cache; a token that expires earlier leaves it then. */
const REMEMBERED_MS = 60_000
/** A few MB at most. */
const MAX_REMEMBERED = 10_000

export class RecentClaims<Claims extends { expiresAt: Date }> {
  /** By the SHA-256 of the token, so that the cache holds no tokens. */
  readonly #byHash = new LRUCache<string, Claims>({
    max: MAX_REMEMBERED,
    ttl: REMEMBERED_MS,
    // By the clock that expiry times are compared with, and exactly.
    perf: { now: () => Date.now() },
    ttlResolution: 0,
  })

  get(token: string): Claims | undefined {
    return this.#byHash.get(keyOf(token))
  }

  set(token: string, claims: Claims): void {
    // An entry is kept for one millisecond more than its ttl, and for ever with a ttl of 0.
    const ttl = Math.min(REMEMBERED_MS, claims.expiresAt.getTime() - Date.now()) - 1
    if (ttl > 0) this.#byHash.set(keyOf(token), claims, { ttl })
  }
}

const keyOf = (token: string) => hash('sha256', token, 'base64')
