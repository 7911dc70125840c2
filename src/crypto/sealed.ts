/**
 * Envelope encryption: values are sealed under data keys, data keys are wrapped under the
 * key-encryption keys of the operator. The byte layout is described in sealing-key.ts.
 *
 * Nothing here authorizes the caller; the binding only proves that a value is where it was put.
 * Sealed values are accepted as any Uint8Array, since database drivers differ in the type of bytea.
 */
import { inspect } from 'node:util'
import { RecentKeys } from './recent-keys.ts'
import { type Binding, keyIdOf, SealingKey } from './sealing-key.ts'

export type { Binding } from './sealing-key.ts'

/** The key of one user's or one conversation's values. Printing it shows its id, never its bytes. */
export class DataKey {
  readonly #key: SealingKey

  constructor(key: SealingKey) {
    this.#key = key
  }

  static generate(): DataKey {
    return new DataKey(SealingKey.generate())
  }

  /** 37 bytes longer than the plaintext (text as UTF-8), and different each time. */
  seal(plaintext: Uint8Array | string, binding: Binding): Buffer {
    return this.#key.seal(toBytes(plaintext), binding)
  }

  /** @throws Error if damaged, sealed under another key, or sealed for another binding. */
  open(sealed: Uint8Array, binding: Binding): Buffer {
    return this.#key.open(sealed, binding)
  }

  /** {@link open}, as UTF-8 text. */
  openText(sealed: Uint8Array, binding: Binding): string {
    return this.open(sealed, binding).toString('utf8')
  }

  /**
   * HMAC-SHA256, 32 bytes: equal data has equal MACs under one label, and is unrelated under
   * another. For comparing sealed values without opening them.
   */
  mac(label: string, data: string): Buffer {
    return this.#key.mac(label, data)
  }

  /** For {@link KeyRing.wrap}. */
  wrapUnder(keyEncryptionKey: SealingKey, binding: Binding): Buffer {
    return keyEncryptionKey.wrap(this.#key, binding)
  }

  toJSON(): string {
    return `DataKey(${this.#key.id})`
  }

  [inspect.custom](): string {
    return this.toJSON()
  }
}

/**
 * The key-encryption keys: the current one seals, all of them open. A wrapped key's own bytes 2 to
 * 9 are its key id, so what remains to be re-wrapped can be found in SQL by `currentKeyId`.
 */
export class KeyRing {
  /** 16 hex digits. */
  readonly currentKeyId: string
  readonly #current: SealingKey
  readonly #byId: ReadonlyMap<string, SealingKey>
  readonly #recent = new RecentKeys<DataKey>()

  /** @throws Error if a key does not have exactly 32 bytes. */
  constructor(current: Uint8Array, previous: readonly Uint8Array[] = []) {
    this.#current = new SealingKey(current)
    this.currentKeyId = this.#current.id
    const all = [this.#current, ...previous.map((bytes) => new SealingKey(bytes))]
    this.#byId = new Map(all.map((key) => [key.id, key]))
  }

  /** Always under the current key. */
  wrap(dataKey: DataKey, binding: Binding): Buffer {
    return dataKey.wrapUnder(this.#current, binding)
  }

  /**
   * Caches the unwrapped keys for at most five minutes.
   *
   * @throws Error naming the key id if no configured key has it; a plain Error if damaged, cut
   * short or wrapped for another binding.
   */
  unwrap(sealed: Uint8Array, binding: Binding): DataKey {
    const known = this.#recent.get(sealed, binding)
    if (known !== undefined) return known
    const key = this.#unwrap(sealed, binding)
    this.#recent.set(sealed, binding, key)
    return key
  }

  /** The same data key under the current key. @throws as {@link unwrap} does. */
  rewrap(sealed: Uint8Array, binding: Binding): Buffer {
    return this.wrap(this.#unwrap(sealed, binding), binding)
  }

  /** Whether it was sealed or wrapped under a key that is no longer the current one. */
  needsRewrap(sealed: Uint8Array): boolean {
    return keyIdOf(sealed) !== this.currentKeyId
  }

  /** Seals a value directly, for the few that belong to the whole installation. */
  seal(plaintext: Uint8Array | string, binding: Binding): Buffer {
    return this.#current.seal(toBytes(plaintext), binding)
  }

  /** @throws as {@link unwrap} does. A wrapped data key does not open as a value. */
  open(sealed: Uint8Array, binding: Binding): Buffer {
    return this.#keyFor(sealed).open(sealed, binding)
  }

  /** {@link open}, as UTF-8 text. */
  openText(sealed: Uint8Array, binding: Binding): string {
    return this.open(sealed, binding).toString('utf8')
  }

  /** Of all that are configured, the current one first. */
  get keyIds(): string[] {
    return [...this.#byId.keys()]
  }

  /**
   * {@link DataKey.mac}, under a key that is derived from a key-encryption key.
   *
   * @returns undefined when no configured key has this id.
   */
  mac(label: string, data: string, keyId = this.currentKeyId): Buffer | undefined {
    return this.#byId.get(keyId)?.mac(label, data)
  }

  toJSON(): string {
    return `KeyRing(${[...this.#byId.keys()].join(', ')})`
  }

  [inspect.custom](): string {
    return this.toJSON()
  }

  #unwrap(sealed: Uint8Array, binding: Binding): DataKey {
    return new DataKey(this.#keyFor(sealed).unwrap(sealed, binding))
  }

  #keyFor(sealed: Uint8Array): SealingKey {
    const id = keyIdOf(sealed)
    const key = this.#byId.get(id)
    if (key) return key
    throw new Error(
      `Sealed under encryption key ${id}, which is not configured (the current one is ` +
        `${this.currentKeyId}). Add the old key to ENCRYPTION_KEYS_PREVIOUS and restart.`,
    )
  }
}

function toBytes(plaintext: Uint8Array | string): Uint8Array {
  return typeof plaintext === 'string' ? Buffer.from(plaintext, 'utf8') : plaintext
}
