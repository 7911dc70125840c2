/**
 * One request to the token endpoint, as the storage has to know it: the provider tells it the use of
 * a refresh token and its successor one after the other, and they are one step.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { KoaContextWithOIDC } from './oidc-provider.ts'

export type Rotation = {
  /** Of the refresh token that was shown. */
  replacedKey?: Buffer
  /** The token that had taken its place before, by another request. */
  successor?: string
}

const requests = new AsyncLocalStorage<Rotation>()

export const rotationUnderWay = (): Rotation | undefined => requests.getStore()

/** For the token endpoint. Its answer names the successor that is stored, where the provider made one that is not. */
export async function withRefreshRotation(
  ctx: KoaContextWithOIDC,
  next: () => Promise<void>,
): Promise<void> {
  const rotation: Rotation = {}
  await requests.run(rotation, next)
  if (rotation.successor === undefined || ctx.status !== 200) return
  ctx.body = { ...Object(ctx.body), refresh_token: rotation.successor }
}
