/**
 * A form that waits for its sender's password. It is embedded in the password page and comes back
 * with the password: encrypted, since it may hold a secret, which pages never show again; with a
 * key derived from the session's secret, and bound to the address it was sent to.
 */

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

type Binding = { sessionSecret: string; path: string }
export type FormBody = Record<string, unknown>

const ALGORITHM = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16
const KEY_BYTES = 32

export function holdForm(body: FormBody, binding: Binding): string {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, keyOf(binding), nonce)
  cipher.setAAD(Buffer.from(binding.path))
  const sealed = [cipher.update(JSON.stringify(body), 'utf8'), cipher.final()]
  return Buffer.concat([nonce, cipher.getAuthTag(), ...sealed]).toString('base64url')
}

/** @returns undefined unless the form was held for this session and address. */
export function takeForm(held: string, binding: Binding): FormBody | undefined {
  const bytes = Buffer.from(held, 'base64url')
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined
  const decipher = createDecipheriv(ALGORITHM, keyOf(binding), bytes.subarray(0, NONCE_BYTES))
  decipher.setAAD(Buffer.from(binding.path))
  decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
  try {
    const text = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, 'utf8')
    return JSON.parse(text + decipher.final('utf8')) as FormBody
  } catch {
    return undefined
  }
}

const keyOf = ({ sessionSecret }: Binding) =>
  new Uint8Array(hkdfSync('sha256', sessionSecret, '', 'held form', KEY_BYTES))
