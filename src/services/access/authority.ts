/** The authority for an action: a live session, or a password that is still the user's. */

import { AppError } from '../../errors.ts'
import type { HeldSession } from '../../repositories/access/authority.ts'
import type { Reach } from '../../repositories/access/reach.ts'
import type { SessionKind } from '../../repositories/access/sessions.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { Caller } from './caller.ts'
import { isScope, requireScopes, type Scope } from './scopes.ts'

/**
 * The result of a correct password: its user, the hash that it was checked against, and the network
 * that it came from, where that is known.
 */
export type PasswordProof = { userId: string; passwordHash: string; network: string | null }

type Locks = Pick<Repositories, 'authority'>
type Holder = Pick<Caller, 'userId' | 'sessionId' | 'kind'>

/** `mustBeProven`: a browser needs its user's password to have been given recently. */
type Demand = { needed?: readonly Scope[]; mustBeProven?: boolean }

/**
 * Locks the caller's session, so that it cannot end before the transaction does. Call it before
 * other rows are locked.
 *
 * @throws AppError unauthenticated when it has ended since the request came, insufficient_scope
 *   when it has been approved again without one of the permissions, proof_required.
 */
export async function holdSession(
  { authority }: Locks,
  caller: Holder,
  needed: readonly Scope[],
  { mustBeProven = false }: Pick<Demand, 'mustBeProven'> = {},
): Promise<void> {
  const held = await authority.holdLive(caller.sessionId, caller.userId)
  requireLive(held, caller, { needed, mustBeProven })
}

/**
 * The same for a change of the user's own sessions: all of them, or the caller's and some others.
 *
 * @returns whether one of them is live; it stays live until the transaction ends.
 * @throws AppError like {@link holdSession}.
 */
export async function holdSessions(
  { authority }: Locks,
  caller: Holder,
  others: readonly string[] | 'all',
  { needed = ['account'], mustBeProven = false }: Demand = {},
): Promise<(id: string) => boolean> {
  const { userId, sessionId } = caller
  const ids = others === 'all' ? undefined : [sessionId, ...others]
  const live = await authority.lockLive(userId, ids)
  requireLive(live.get(sessionId), caller, { needed, mustBeProven })
  return (id) => live.has(id)
}

function requireLive(
  held: HeldSession | undefined,
  { kind }: Holder,
  { needed, mustBeProven }: Required<Demand>,
): void {
  if (!held) throw sessionEnded([kind])
  if (held.scopes !== null) requireScopes(held.scopes.filter(isScope), needed)
  if (mustBeProven && kind === 'browser' && !held.isProven) throw proofRequired()
}

type Reader = Pick<Caller, 'userId' | 'sessionId' | 'scopes'>

/** What the caller's session may see of its user's conversations. */
export const reachOf = ({ userId, sessionId, scopes }: Reader): Reach => ({
  userId,
  sessionId,
  readsAll: scopes.includes('conversations:read'),
})

export const sessionEnded = (kinds: readonly SessionKind[] = []) =>
  new AppError(
    'unauthenticated',
    kinds.includes('personal')
      ? 'This personal access token has expired, was revoked, or never was one. Make a new one on the account page.'
      : 'This access token was revoked or replaced. Connect again, or sign in again with authenticate_user.',
  )

export const accessEnded = () =>
  new AppError(
    'access_ended',
    'Your access to this conversation was ended meanwhile. What the answer cost until then is booked to you; its text stays with the owner.',
  )

export const proofRequired = () =>
  new AppError(
    'proof_required',
    'You gave your password more than 10 minutes ago. Give it again for this.',
  )

/** @param username as given. No username has an `@`, so the hint does not reveal who exists. */
export const wrongCredentials = (username = '') =>
  new AppError(
    'invalid_credentials',
    username.includes('@')
      ? 'Unknown user or wrong password. Sign in with your username, which is not the email address.'
      : 'Unknown user or wrong password.',
  )
