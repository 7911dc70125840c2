/**
 * Caches recently unwrapped data keys, so that keys in use are not unwrapped for each request.
 *
 * The wrapped key is the cache key, and the caller has just read it from its row: so a key whose
 * row was deleted, or is another user's, cannot be found here either.
 */

import type { Binding } from './sealing-key.ts'

/** No entry is kept for longer than twice this, even while in use. */
const GENERATION_MS = 150_000
/** About a kilobyte each. */
const MAX_PER_GENERATION = 2_000

type Remembered<Key> = { binding: Binding; key: Key }

export class RecentKeys<Key extends object> {
  #young = new Map<string, Remembered<Key>>()
  #old = new Map<string, Remembered<Key>>()
  #ageing: NodeJS.Timeout | undefined

  /** Undefined also for another binding than the one it was cached with. */
  get(wrapped: Uint8Array, binding: Binding): Key | undefined {
    const name = nameOf(wrapped)
    const known = this.#young.get(name) ?? this.#old.get(name)
    return known !== undefined && isSame(known.binding, binding) ? known.key : undefined
  }

  set(wrapped: Uint8Array, binding: Binding, key: Key): void {
    if (this.#young.size >= MAX_PER_GENERATION) this.#age()
    this.#young.set(nameOf(wrapped), { binding, key })
    this.#ageing ??= setInterval(() => this.#age(), GENERATION_MS).unref()
  }

  #age(): void {
    this.#old = this.#young
    this.#young = new Map()
    if (this.#old.size > 0) return
    clearInterval(this.#ageing)
    this.#ageing = undefined
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
