import { z } from 'zod'
import type { IssuedToken } from '../../services/access/sessions.ts'
import { instant } from '../definitions/tool.ts'

/** The output of the tools that issue an access token. */
export const issuedToken = z.object({
  access_token: z.string().describe('Treat it like a password.'),
  token_type: z.literal('Bearer'),
  expires_at: instant,
  user_id: z.uuid(),
})

export function toIssuedToken({ accessToken, expiresAt, userId }: IssuedToken) {
  return {
    access_token: accessToken,
    token_type: 'Bearer' as const,
    expires_at: expiresAt.toISOString(),
    user_id: userId,
  }
}
