/** A user of the Messages API: registered, with a stored key and a personal token. */

import type { Scope } from '../../src/services/access/scopes.ts'
import { browserSession, personalToken } from './signed-up.ts'
import type { TestApp } from './start-app.ts'

export type ApiUser = { userId: string; apiKey: string; accessToken: string; token: string }

/** @param options more terms of the token. */
export async function apiUser(
  app: Pick<TestApp, 'app' | 'register'>,
  scopes: readonly Scope[] = ['messages:api'],
): Promise<ApiUser> {
  const { userId, apiKey, accessToken } = await app.register()
  const caller = await browserSession(app, userId)
  const { token } = await personalToken(app, caller, scopes)
  return { userId, apiKey, accessToken, token }
}
