import { randomBytes, randomInt } from 'node:crypto'

/** No 0/O/o, 1/I/l/i: a password may have to be read off one screen and typed into another. */
const PASSWORD_ALPHABET = 'abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789'
/** 24 characters out of 55 are 138 bits. */
const PASSWORD_LENGTH = 24

const MIN_TOKEN_BYTES = 16
const MAX_COUNTER = 0xfff

/** A password of at least 128 random bits, to be shown once; letters and digits only. */
export function generatePassword(): string {
  // randomInt rejects the biased remainder, so every character is equally likely.
  const pick = () => PASSWORD_ALPHABET.charAt(randomInt(PASSWORD_ALPHABET.length))
  return Array.from({ length: PASSWORD_LENGTH }, pick).join('')
}

/**
 * An opaque bearer token: `prefix_` and base64url of `bytes` random bytes. The prefix lets secret
 * scanners and people recognise it. Random enough to be stored as a plain SHA-256.
 *
 * @throws RangeError below 16 bytes.
 */
export function newToken(prefix: string, bytes = 32): string {
  if (bytes < MIN_TOKEN_BYTES) {
    throw new RangeError(`A token needs at least ${MIN_TOKEN_BYTES} random bytes`)
  }
  return `${prefix}_${randomBytes(bytes).toString('base64url')}`
}

const POOL_BYTES = 4096
let pool = Buffer.alloc(0)

/**
 * Random bytes that need not be secret, such as nonces and ids; none is given out twice. From a pool:
 * asked for one at a time, they cost a send as much as sealing does.
 */
export function drawRandomBytes(count: number): Buffer {
  if (pool.length < count) pool = randomBytes(Math.max(POOL_BYTES, count))
  const drawn = pool.subarray(0, count)
  pool = pool.subarray(count)
  return drawn
}

/**
 * Makes a generator of UUIDv7 (RFC 9562, section 5.7) whose ids strictly increase, compared as text
 * or as bytes: also within a millisecond and when the clock steps back.
 *
 * `rand_a` is a counter that starts in its lower half each millisecond (section 6.2, method 1).
 * When it overflows, the timestamp moves ahead of the clock. The other 62 bits are random.
 */
export function idGenerator(now: () => number = Date.now): () => string {
  let milliseconds = -1
  let counter = 0
  const restartAt = (at: number) => {
    milliseconds = at
    counter = randomInt((MAX_COUNTER + 1) / 2)
  }
  return () => {
    const at = now()
    if (at > milliseconds) restartAt(at)
    else if (counter === MAX_COUNTER) restartAt(milliseconds + 1)
    else counter += 1
    return uuidv7(milliseconds, counter)
  }
}

/** A new UUIDv7, larger than every id this process made before. An identifier, not a secret. */
export const newId = idGenerator()

function uuidv7(milliseconds: number, counter: number): string {
  const bytes = drawRandomBytes(16)
  bytes.writeUIntBE(milliseconds, 0, 6)
  bytes.writeUInt16BE(0x7000 | counter, 6)
  bytes.writeUInt8(0x80 | (bytes.readUInt8(8) & 0x3f), 8)
  const hex = bytes.toString('hex')
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-')
}
