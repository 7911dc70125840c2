/**
 * RFC 7009, section 2.1: a client may revoke by its access token, too. Here that is a JWT, which the
 * provider refuses once it has found out which client asks; it names the connection to end.
 */

import type { AccessTokens } from '../crypto/tokens.ts'
import type { KoaContextWithOIDC, Provider } from './oidc-provider.ts'
import { ROUTES } from './provider.ts'

export function withAccessTokenRevocation(
  provider: Provider,
  tokens: Pick<AccessTokens, 'verify'>,
) {
  return async (ctx: KoaContextWithOIDC, next: () => Promise<void>): Promise<void> => {
    await next()
    const isRefused = Object(ctx.body).error === 'unsupported_token_type'
    if (ctx.path !== ROUTES.revocation || !isRefused) return
    const { client, params } = ctx.oidc
    const claims = await tokens.verify(String(params?.token)).catch(() => undefined)
    const grant = claims && (await provider.Grant.find(claims.sessionId))
    // Another client's, or one that is not good, is answered like one that has ended (section 2.2).
    if (client && grant?.clientId === client.clientId) {
      await provider.RefreshToken.revokeByGrantId(grant.jti)
      await grant.destroy()
    }
    ctx.status = 200
    ctx.body = ''
  }
}
