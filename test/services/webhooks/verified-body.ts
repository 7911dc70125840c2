/** A receiver's check of what it was sent, by the library of Standard Webhooks itself. */

import { Webhook } from 'standardwebhooks'

type Body = { type: string; timestamp: string; data: Record<string, unknown> }

/** @throws Error when the signature is not of this secret, or the time is long ago. */
export const verifiedBody = (
  { headers, body }: { headers: Record<string, string>; body: string },
  secret: string,
): Body => new Webhook(secret).verify(body, headers) as Body
