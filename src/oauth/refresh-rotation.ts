/**
 * The context of one token request for the storage: the provider reports the use of a refresh token
 * and its successor one after the other, and the storage makes them one step.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { KoaContextWithOIDC } from './oidc-provider.ts'

export type Rotation = {
  /** Hash of the refresh token in the request. */
  replacedKey?: Buffer
  /** The successor that an earlier request stored for it. */
  successor?: string
}

const requests = new AsyncLocalStorage<Rotation>()

export const rotationUnderWay = (): Rotation | undefined => requests.getStore()

/** For the token endpoint. Its answer names the stored successor instead of an unstored one. */
export async function withRefreshRotation(
  ctx: KoaContextWithOIDC,
  next: () => Promise<void>,
): Promise<void> {
  const rotation: Rotation = {}
  await requests.run(rotation, next)
  if (rotation.successor === undefined || ctx.status !== 200) return
  ctx.body = { ...Object(ctx.body), refresh_token: rotation.successor }
}
