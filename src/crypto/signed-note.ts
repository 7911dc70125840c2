/**
 * Signed notes (C2SP signed-note): a text, an empty line, and a line with the signature, so that it
 * can be kept and checked anywhere as plain text.
 */
import { createPrivateKey, createPublicKey, type JsonWebKey, sign, verify } from 'node:crypto'

/** The signature's line begins with an em dash, as C2SP says. */
const SIGNATURE = /^([\s\S]*\n)\n\u2014 (\S+) ([A-Za-z0-9+/=]+)\n$/

/**
 * @param text ends with a newline.
 * @param privateJwk an Ed25519 key.
 */
export function signNote(text: string, keyId: string, privateJwk: JsonWebKey): string {
  const key = createPrivateKey({ key: privateJwk, format: 'jwk' })
  const signature = sign(null, Buffer.from(text), key).toString('base64')
  return `${text}\n\u2014 ${keyId} ${signature}\n`
}

/**
 * The text and the id of the key that signed it; not verified.
 *
 * @returns undefined when it has not the form of a signed note.
 */
export function readNote(note: string): { text: string; keyId: string } | undefined {
  const [, text, keyId] = SIGNATURE.exec(note) ?? []
  return text === undefined || keyId === undefined ? undefined : { text, keyId }
}

/** Whether the note was signed with the key. */
export function isSignedBy(note: string, publicJwk: JsonWebKey): boolean {
  const [, text = '', , signature = ''] = SIGNATURE.exec(note) ?? []
  const key = createPublicKey({ key: publicJwk, format: 'jwk' })
  return verify(null, Buffer.from(text), key, Buffer.from(signature, 'base64'))
}
