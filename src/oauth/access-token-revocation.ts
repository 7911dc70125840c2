/**
 * RFC 7009, section 2.1: a client may also revoke by its access token. Here that is a JWT, which
 * the provider refuses after authenticating the client; the token names the connection to end.
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
    // Another client's token, or an invalid one, is answered like a revoked one (section 2.2).
    if (client && grant?.clientId === client.clientId) {
      await provider.RefreshToken.revokeByGrantId(grant.jti)
      await grant.destroy()
    }
    ctx.status = 200
    ctx.body = ''
  }
}
