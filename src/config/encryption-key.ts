const KEY_BYTES = 32
/** Of 32 random bytes about 30 differ; fewer than 12 has a probability below 2^-80. */
const MIN_DISTINCT_BYTES = 12
const PLACEHOLDER = 'your-32-byte-encryption-key'
const HOW_TO_MAKE_ONE = 'Make one with: openssl rand -base64 32'

/**
 * Reads a 256-bit key written in base64, base64url (as Fernet keys are) or hex; surrounding
 * whitespace is ignored, base64 padding is optional.
 *
 * @throws Error saying what is accepted, without the value, if the text is anything else, the
 * documentation's placeholder, or a key that was clearly typed by hand.
 */
export function parseEncryptionKey(text: string): Buffer {
  const trimmed = text.trim()
  if (trimmed === PLACEHOLDER) {
    throw new Error(`An encryption key is still the example's placeholder. ${HOW_TO_MAKE_ONE}`)
  }
  const key = decode(trimmed)
  if (!key) {
    throw new Error(
      `An encryption key must be exactly ${KEY_BYTES} random bytes: base64 or base64url ` +
        `(44 characters) or hex (64 characters), without quotes. ${HOW_TO_MAKE_ONE}`,
    )
  }
  if (isWeak(key)) {
    throw new Error(
      `An encryption key is a pattern, not ${KEY_BYTES} random bytes. ${HOW_TO_MAKE_ONE}`,
    )
  }
  return key
}

function decode(text: string): Buffer | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex')
  const isBase64 = /^[A-Za-z0-9+/]{43}=?$/.test(text)
  const isBase64url = /^[A-Za-z0-9_-]{43}=?$/.test(text)
  if (!isBase64 && !isBase64url) return undefined
  const key = Buffer.from(text, 'base64url')
  // 43 characters hold two bits too many. If they are set, this is not the base64 of 32 bytes.
  const canonical = key.toString(isBase64url ? 'base64url' : 'base64')
  return canonical.startsWith(text.slice(0, 43)) ? key : undefined
}

/** Few different bytes (all equal, a repeated word) or bytes that count up or down. */
function isWeak(key: Buffer): boolean {
  const step = key.readUInt8(1) - key.readUInt8(0)
  const isCounting = key.every((byte, i) => i === 0 || byte - key.readUInt8(i - 1) === step)
  return isCounting || new Set(key).size < MIN_DISTINCT_BYTES
}
