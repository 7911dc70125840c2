/**
 * One AES-256-GCM key and the layout of everything it seals:
 *
 *     version (1 byte, 0x01) | key id (8) | nonce (12) | ciphertext | tag (16)
 *
 * The key id is the first 8 bytes of SHA-256("claude-api-gateway key id\0" + key). The additional
 * authenticated data is, in this order and each as a 4-byte big-endian length and UTF-8 bytes:
 * purpose, table, column, row, owner; they follow the value's own version and key id.
 *
 * GCM is a stream: a cipher's final() returns no data, it only makes or checks the tag.
 *
 * Nonces are random, so one key may seal 2^32 values (NIST SP 800-38D, section 8.3). A data key
 * belongs to one user or conversation, and stays far below that.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { inspect } from 'node:util'
import { drawRandomBytes } from './random.ts'

const ALGORITHM = 'aes-256-gcm'
const KEY_ID_DOMAIN = 'claude-api-gateway key id\0'
const MAC_DOMAIN = 'claude-api-gateway mac\0'

const VERSION = 1
const KEY_BYTES = 32
const HEADER_BYTES = 1 + 8
const LENGTH_BYTES = 4
/** UTF-8 bytes per UTF-16 code unit. */
const MOST_BYTES_PER_CHARACTER = 3
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Where a sealed value is stored and whose it is. It opens there and nowhere else. */
export type Binding = { table: string; column: string; row: string; owner: string }

/** Keeps a wrapped data key from being opened, and shown, as if it were a value. */
type Purpose = 'value' | 'data key'

/** One 256-bit key. Its bytes can be wrapped under another key, but never leave in the clear. */
export class SealingKey {
  readonly #key: KeyObject
  /** Not a Buffer: a small one would retain a whole slab of Node's pool for the life of the key. */
  readonly #header = new Uint8Array(HEADER_BYTES)
  #macKeys: Map<string, KeyObject> | undefined

  constructor(bytes: Uint8Array) {
    if (bytes.byteLength !== KEY_BYTES) {
      throw new Error(`A key must have exactly ${KEY_BYTES} bytes.`)
    }
    this.#key = createSecretKey(bytes)
    const digest = createHash('sha256').update(KEY_ID_DOMAIN).update(bytes).digest()
    this.#header.set(digest.subarray(0, HEADER_BYTES - 1), 1)
    this.#header[0] = VERSION
  }

  /** A key for one use of a secret that is random itself (HKDF-SHA256, RFC 5869). */
  static fromSecret(secret: string, use: string): SealingKey {
    return new SealingKey(new Uint8Array(hkdfSync('sha256', secret, '', use, KEY_BYTES)))
  }

  static generate(): SealingKey {
    return new SealingKey(randomBytes(KEY_BYTES))
  }

  /** 16 hex digits; tells keys apart and reveals nothing about them. */
  get id(): string {
    return Buffer.from(this.#header).toString('hex', 1)
  }

  seal(plaintext: Uint8Array, binding: Binding): Buffer {
    return this.#seal(plaintext, 'value', binding)
  }

  /** @throws Error, always the same one, unless this key sealed exactly this for this binding. */
  open(sealed: Uint8Array, binding: Binding): Buffer {
    return this.#open(sealed, 'value', binding)
  }

  wrap(key: SealingKey, binding: Binding): Buffer {
    return this.#seal(key.#key.export(), 'data key', binding)
  }

  /** @throws Error, always the same one, unless this key wrapped exactly this for this binding. */
  unwrap(sealed: Uint8Array, binding: Binding): SealingKey {
    return new SealingKey(this.#open(sealed, 'data key', binding))
  }

  /** HMAC-SHA256 under a separate key per label, derived by HKDF-SHA256 (RFC 5869). */
  mac(label: string, data: string): Buffer {
    return createHmac('sha256', this.#macKey(label)).update(data).digest()
  }

  /** Cached: the derivation costs several times the HMAC. */
  #macKey(label: string): KeyObject {
    this.#macKeys ??= new Map()
    const known = this.#macKeys.get(label)
    if (known !== undefined) return known
    const derived = hkdfSync('sha256', this.#key, '', MAC_DOMAIN + label, KEY_BYTES)
    const key = createSecretKey(Buffer.from(derived))
    this.#macKeys.set(label, key)
    return key
  }

  toJSON(): string {
    return `SealingKey(${this.id})`
  }

  [inspect.custom](): string {
    return this.toJSON()
  }

  #seal(plaintext: Uint8Array, purpose: Purpose, binding: Binding): Buffer {
    const nonce = drawRandomBytes(NONCE_BYTES)
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(additionalData(this.#header, purpose, binding))
    const ciphertext = cipher.update(plaintext)
    cipher.final()
    return Buffer.concat([this.#header, nonce, ciphertext, cipher.getAuthTag()])
  }

  #open(sealed: Uint8Array, purpose: Purpose, binding: Binding): Buffer {
    const { header, nonce, ciphertext, tag } = parts(sealed)
    if (header.compare(this.#header) !== 0) throw doesNotOpen()
    const decipher = createDecipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(additionalData(header, purpose, binding)).setAuthTag(tag)
    try {
      const plaintext = decipher.update(ciphertext)
      decipher.final()
      return plaintext
    } catch {
      throw doesNotOpen()
    }
  }
}

/**
 * The id of the key that sealed a value, read without opening it and therefore not authenticated.
 *
 * @throws Error if it is not a sealed value.
 */
export function keyIdOf(sealed: Uint8Array): string {
  return parts(sealed).header.toString('hex', 1)
}

function parts(sealed: Uint8Array) {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
  const tagAt = bytes.length - TAG_BYTES
  const ciphertextAt = HEADER_BYTES + NONCE_BYTES
  if (tagAt < ciphertextAt || bytes[0] !== VERSION) throw doesNotOpen()
  return {
    header: bytes.subarray(0, HEADER_BYTES),
    nonce: bytes.subarray(HEADER_BYTES, ciphertextAt),
    ciphertext: bytes.subarray(ciphertextAt, tagAt),
    tag: bytes.subarray(tagAt),
  }
}

/** Length-prefixed, so that no two bindings encode alike ("a" + "bc" is not "ab" + "c"). */
function additionalData(header: Uint8Array, purpose: Purpose, binding: Binding): Buffer {
  const { table, column, row, owner } = binding
  const characters = purpose.length + table.length + column.length + row.length + owner.length
  const data = Buffer.allocUnsafe(
    HEADER_BYTES + 5 * LENGTH_BYTES + characters * MOST_BYTES_PER_CHARACTER,
  )
  data.set(header)
  let end = HEADER_BYTES
  for (const field of [purpose, table, column, row, owner]) {
    const length = data.write(field, end + LENGTH_BYTES)
    end = data.writeUInt32BE(length, end) + length
  }
  return data.subarray(0, end)
}

/** One error for every cause: which check failed would only help an attacker. */
function doesNotOpen(): Error {
  return new Error(
    'A sealed value does not open: it is damaged, or it was sealed for another row or owner.',
  )
}
