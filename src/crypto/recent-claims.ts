/**
 * The claims of tokens that were found good a moment ago, so that the signature of a token in use is
 * not checked anew for each request. Whether its session still exists is asked each time all the same.
 */

import { hash } from 'node:crypto'

/** So long at most, and never longer than the token itself is good. */
const REMEMBERED_MS = 60_000
/** A few MB at most. The one that was remembered first goes first. */
const MAX_REMEMBERED = 10_000

export class RecentClaims<Claims extends { expiresAt: Date }> {
  /** By the SHA-256 of the token: no token stays in memory for this. */
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
