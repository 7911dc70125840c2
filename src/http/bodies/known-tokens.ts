/**
 * Caches which user each recently verified access token belongs to, so that a request can be
 * counted for its user before its body is read. This grants no access: each request is
 * authenticated after its body.
 */

import { hash } from 'node:crypto'

const REMEMBERED_MS = 15 * 60_000
/** About 2 MB. The oldest entry is evicted first. */
const MAX_REMEMBERED = 10_000

export class KnownTokens {
  /** Keyed by the SHA-256 of the token: no token is kept in memory. */
  readonly #byHash = new Map<string, { userId: string; until: number }>()

  userOf(token: string): string | undefined {
    const known = this.#byHash.get(keyOf(token))
    return known && performance.now() < known.until ? known.userId : undefined
  }

  note(token: string, userId: string): void {
    const key = keyOf(token)
    const until = performance.now() + REMEMBERED_MS
    const oldest = this.#byHash.size < MAX_REMEMBERED ? undefined : this.#byHash.keys().next().value
    if (oldest !== undefined) this.#byHash.delete(oldest)
    this.#byHash.set(key, { userId, until })
  }

  forget(token: string): void {
    this.#byHash.delete(keyOf(token))
  }
}

const keyOf = (token: string) => hash('sha256', token, 'base64')
