/** What a username, an email address and an Anthropic key may look like, wherever they are entered. */

import { z } from 'zod'

export const Username = z
  .string()
  .regex(/^[A-Za-z0-9._-]{3,64}$/, 'must be 3 to 64 characters out of A-Z a-z 0-9 . _ -')

export const Email = z
  .string()
  .trim()
  .max(254, 'must have at most 254 characters')
  .pipe(z.email('must be an email address, for example ada@example.com'))

/** Trimmed. Its shape is Anthropic's business; what no header can carry is refused here. */
export const AnthropicApiKey = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(512, 'is too long to be an Anthropic key')
  .regex(/^[\x21-\x7e]*$/, 'must not hold spaces, line breaks or non-ASCII characters')
