/**
 * What a user may do in the whole installation. Auditors see figures and the audit log; admins also
 * act on users, teams and limits. No role reads text: what is shown to them is chosen by columns.
 *
 * The names in ADMIN_USERNAMES are its root: admins also where their row says otherwise, on whom
 * no other admin acts, and whose names are closed to registration.
 */

import { AppError } from '../../errors.ts'
import type { InTransaction } from '../../repositories/index.ts'
import type { InstallationRole } from '../../repositories/teams/invitations.ts'
import { type AuditActor, OPERATOR } from '../audit/audit-actor.ts'
import { actorOf } from './actor.ts'
import { holdSession } from './authority.ts'
import type { Caller } from './caller.ts'

/** `operator`: the admin command. */
export type AdminActor = Caller | 'operator'

export class InstallationRoles {
  readonly #listed: ReadonlySet<string>

  /** @param adminUsernames in lower case. */
  constructor(adminUsernames: readonly string[]) {
    this.#listed = new Set(adminUsernames)
  }

  get listed(): readonly string[] {
    return [...this.#listed]
  }

  isListed(username: string): boolean {
    return this.#listed.has(username.toLowerCase())
  }

  of({ usernameKey, role }: { usernameKey: string; role: InstallationRole }): InstallationRole {
    return this.isListed(usernameKey) ? 'admin' : role
  }

  /**
   * Locks the actor's session and role, so that neither ends before the transaction does.
   *
   * @throws AppError forbidden unless the actor is an admin; unauthenticated, proof_required.
   */
  async holdAdmin(
    repositories: Pick<InTransaction, 'authority' | 'users'>,
    actor: AdminActor,
  ): Promise<void> {
    if (actor === 'operator') return
    await holdSession(repositories, actor, ['account'], { mustBeProven: true })
    const user = await repositories.users.holdRole(actor.userId)
    if (user === undefined || this.of(user) !== 'admin') throw onlyFor('an admin')
  }

  /**
   * Refuses what admins may not do to this user: anything to the root, and changes of themselves.
   *
   * @throws AppError forbidden.
   */
  refuseProtected(actor: AdminActor, user: { id: string; username: string }): void {
    if (actor === 'operator') return
    if (user.id === actor.userId) throw notOneself()
    if (this.isListed(user.username)) throw isRoot()
  }
}

/** @throws AppError forbidden. */
export function requireAuditor(caller: Pick<Caller, 'isAuditor'>): void {
  if (!caller.isAuditor) throw onlyFor('an auditor or admin')
}

/** @throws AppError forbidden. */
export function requireAdmin(caller: Pick<Caller, 'isAdmin'>): void {
  if (!caller.isAdmin) throw onlyFor('an admin')
}

/** The actor as the audit log names them. */
export const adminAuditActor = (actor: AdminActor): AuditActor =>
  actor === 'operator' ? OPERATOR : actorOf(actor)

const onlyFor = (role: string) =>
  new AppError('forbidden', `This is for ${role} of the installation.`)

const notOneself = () =>
  new AppError('forbidden', 'Nobody does this to themselves. Ask another admin, or the operator.')

const isRoot = () =>
  new AppError(
    'forbidden',
    'This user is in ADMIN_USERNAMES. Only the operator acts on them, by the admin command.',
  )
