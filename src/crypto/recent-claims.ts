/**
 * Caches the claims of recently verified tokens, so that a token's signature is not checked again
 * for each request. Whether its session still exists is checked every time.
 */

import { hash } from 'node:crypto'

/** The longest time in the cache; a token that expires earlier leaves it then. */
const REMEMBERED_MS = 60_000
/** A few MB at most. The oldest entry is evicted first. */
const MAX_REMEMBERED = 10_000

export class RecentClaims<Claims extends { expiresAt: Date }> {
  /** By the SHA-256 of the token, so that the cache holds no tokens. */
  readonly #byHash = new Map<string, { claims: Claims; until: number }>()

  get(token: string): Claims | undefined {
    const key = keyOf(token)
    const known = this.#byHash.get(key)
    if (!known) return undefined
    if (Date.now() < known.until) return known.claims
    this.#byHash.delete(key)
    return undefined
  }

  set(token: string, claims: Claims): void {
    const oldest = this.#byHash.size < MAX_REMEMBERED ? undefined : this.#byHash.keys().next().value
    if (oldest !== undefined) this.#byHash.delete(oldest)
    const until = Math.min(Date.now() + REMEMBERED_MS, claims.expiresAt.getTime())
    this.#byHash.set(keyOf(token), { claims, until })
  }
}

const keyOf = (token: string) => hash('sha256', token, 'base64')
