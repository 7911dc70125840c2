/**
 * A form that waits for its sender's password. It is embedded in the password page and comes back
 * with the password: encrypted, since it may hold a secret, which pages never show again; with a
 * key derived from the session's secret, and bound to the address it was sent to.
 */

import { SealingKey } from '../../crypto/sealing-key.ts'

type Binding = { sessionSecret: string; path: string }
export type FormBody = Record<string, unknown>

export function holdForm(body: FormBody, binding: Binding): string {
  const text = Buffer.from(JSON.stringify(body))
  return keyOf(binding).seal(text, placeOf(binding)).toString('base64url')
}

/** @returns undefined unless the form was held for this session and address. */
export function takeForm(held: string, binding: Binding): FormBody | undefined {
  try {
    const text = keyOf(binding).open(Buffer.from(held, 'base64url'), placeOf(binding))
    return JSON.parse(text.toString()) as FormBody
  } catch {
    return undefined
  }
}

const keyOf = ({ sessionSecret }: Binding) => SealingKey.fromSecret(sessionSecret, 'held form')
const placeOf = ({ path }: Binding) => ({ table: 'forms', column: 'body', row: path, owner: '' })
