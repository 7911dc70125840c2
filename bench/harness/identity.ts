/** Who uses the gateway of a run, and the key it seals with. */

import { randomBytes } from 'node:crypto'

/** One for the whole run, so that the harness can seal what it seeds. */
export const ENCRYPTION_KEY = randomBytes(32).toString('base64')

export type User = { userId: string; accessToken: string }

export const bearer = ({ accessToken }: User) => ({ authorization: `Bearer ${accessToken}` })
