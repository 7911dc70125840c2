/**
 * Caches recently unwrapped data keys, so that keys in use are not unwrapped for each request.
 *
 * The wrapped key is the cache key, and the caller has just read it from its row: so a key whose
 * row was deleted, or is another user's, cannot be found here either.
 */

import { LRUCache } from 'lru-cache'
import type { Binding } from './sealing-key.ts'

/** No entry is kept for longer, even while in use. */
const REMEMBERED_MS = 300_000
/** About a kilobyte each. */
const MAX_REMEMBERED = 4_000

type Remembered<Key> = { binding: Binding; key: Key }

export class RecentKeys<Key extends object> {
  // Purged by a timer, so that a key does not stay in memory because it is not asked for.
  readonly #byBytes = new LRUCache<string, Remembered<Key>>({
    max: MAX_REMEMBERED,
    // An entry is kept for one millisecond more than its ttl.
    ttl: REMEMBERED_MS - 1,
    ttlAutopurge: true,
    // Not the time of day: where that is set back, timers would be set again and again.
    perf: { now: () => performance.now() },
    ttlResolution: 0,
  })

  /** Undefined also for another binding than the one it was cached with. */
  get(wrapped: Uint8Array, binding: Binding): Key | undefined {
    const known = this.#byBytes.get(nameOf(wrapped))
    return known !== undefined && isSame(known.binding, binding) ? known.key : undefined
  }

  set(wrapped: Uint8Array, binding: Binding, key: Key): void {
    this.#byBytes.set(nameOf(wrapped), { binding, key })
  }
}

/** All bytes: they hold a random nonce and the tag, so no two wrapped keys are equal. */
const nameOf = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  Buffer.from(buffer, byteOffset, byteLength).toString('latin1')

const isSame = (one: Binding, other: Binding) =>
  one.row === other.row &&
  one.owner === other.owner &&
  one.table === other.table &&
  one.column === other.column
