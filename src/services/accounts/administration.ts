/** What the operator and admins do to other people's accounts. None of it reads what they wrote. */

import type { Passwords } from '../../crypto/passwords.ts'
import { generatePassword } from '../../crypto/random.ts'
import type { InTransaction, Repositories, Transact } from '../../repositories/index.ts'
import type { InstallationRole } from '../../repositories/teams/invitations.ts'
import type { Caller } from '../access/caller.ts'
import { noSuchUser } from '../access/field-rules.ts'
import {
  type AdminActor,
  adminAuditActor,
  type InstallationRoles,
} from '../access/installation-roles.ts'
import type { AuditDetail, AuditLog } from '../audit/audit-log.ts'
import type { CallService } from '../billing/calls.ts'
import type { AnswerService } from '../turns/answers/follow-answer.ts'
import { adminStays } from './account-errors.ts'
import type { AccountService } from './accounts.ts'
import type { AccountDeletion } from './deletion.ts'
import type { PasswordCheck } from './password-check.ts'
import type { PasswordLinks } from './password-links.ts'

type Needed = 'auditEvents' | 'authority' | 'invitations' | 'sessions' | 'users'
type Deps = {
  repositories: Pick<Repositories, 'erasure' | 'users'>
  transact: Transact<Needed>
  audit: Pick<AuditLog, 'record'>
  roles: InstallationRoles
  accounts: Pick<AccountService, 'add'>
  deletion: AccountDeletion
  answers: Pick<AnswerService, 'stop'>
  calls: Pick<CallService, 'stopAll'>
  passwords: Passwords
  passwordCheck: PasswordCheck
  passwordLinks: Pick<PasswordLinks, 'create'>
}

type Found = { id: string; username: string }

export class UserAdministration {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Stores a new user, also while registration is closed.
   *
   * @returns the generated password, which cannot be shown again.
   * @throws AppError invalid_input, username_taken, email_taken.
   */
  async add(wanted: { username: string; email: string }) {
    return this.#deps.accounts.add(wanted)
  }

  /**
   * The same for an admin, who is shown no password: the user chooses one by a link.
   *
   * @throws AppError like {@link add}; forbidden, proof_required, unauthenticated.
   */
  async addByAdmin(actor: Caller, wanted: { username: string; email: string }) {
    await this.#deps.transact((repositories) => this.#deps.roles.holdAdmin(repositories, actor))
    const { username } = await this.#deps.accounts.add(wanted, adminAuditActor(actor))
    return this.#deps.passwordLinks.create(actor, username)
  }

  /** Users by name, after one (which need not exist); `next`: the name to continue after. */
  async list({ after, limit }: { after: string; limit: number }) {
    const users = await this.#deps.repositories.users.list(after.toLowerCase(), limit + 1)
    const page = users.slice(0, limit)
    return {
      users: page.map((user) => ({ ...user, role: this.#deps.roles.of(user) })),
      next: users.length > limit ? page.at(-1)?.username : undefined,
    }
  }

  /** @throws AppError not_found. */
  async get(name: string) {
    const user = await this.#deps.repositories.users.findByUsername(name.toLowerCase())
    if (!user) throw noSuchUser()
    const { passwordHash: _hash, ...shown } = user
    return { ...shown, role: this.#deps.roles.of(user), isListed: this.#deps.roles.isListed(name) }
  }

  /**
   * Replaces the password and ends every session; earlier wrong attempts no longer count. For the
   * operator.
   *
   * @returns the generated password, which cannot be shown again, and how many sessions ended.
   * @throws AppError not_found.
   */
  async resetPassword(name: string) {
    const password = generatePassword()
    const passwordHash = await this.#deps.passwords.hash(password)
    const { username, ended } = await this.#change(
      'operator',
      name,
      async (repositories, { id }) => {
        await repositories.users.putPasswordHash(id, passwordHash)
        const sessions = await repositories.sessions.revokeAll(id)
        return { action: 'password.reset', detail: { sessions } }
      },
    )
    await this.#deps.passwordCheck.forgive(username)
    return { username, password, ended }
  }

  /**
   * Ends every session, connection and token.
   *
   * @throws AppError not_found; forbidden, proof_required, unauthenticated.
   */
  async signOut(actor: AdminActor, name: string) {
    return this.#change(actor, name, async ({ sessions }, { id }) => ({
      action: 'session.ended',
      detail: { sessions: await sessions.revokeAll(id) },
    }))
  }

  /** @throws AppError not_found; forbidden, also for oneself; proof_required, unauthenticated. */
  async setRole(actor: AdminActor, name: string, role: InstallationRole) {
    return this.#change(actor, name, async ({ invitations, users }, { id }) => {
      const before = await users.roleOf(id)
      await users.setRole(id, role)
      if (role !== 'admin') await invitations.revokeByAdmin(id)
      return { action: 'user.role_changed', detail: { before, role } }
    })
  }

  /**
   * Keeps a user out until {@link restore}: their sessions end, their running answers and calls are
   * stopped and booked, nothing is deleted, and what they share stays shared.
   *
   * @throws AppError not_found; forbidden, also for oneself; proof_required, unauthenticated.
   */
  async suspend(actor: AdminActor, name: string) {
    const done = await this.#change(
      actor,
      name,
      async ({ invitations, sessions, users }, { id }) => {
        await users.setSuspended(id, true)
        await invitations.revokeByAdmin(id)
        return { action: 'user.suspended', detail: { sessions: await sessions.revokeAll(id) } }
      },
    )
    const answers = await this.#deps.repositories.erasure.listSent(done.id)
    await Promise.all([
      ...answers.map((answerId) => this.#deps.answers.stop(done.id, answerId)),
      this.#deps.calls.stopAll(done.id),
    ])
    return done
  }

  /** Lets a suspended user sign in again; what ended stays ended. @throws AppError like suspend. */
  async restore(actor: AdminActor, name: string) {
    return this.#change(actor, name, async ({ users }, { id }) => {
      await users.setSuspended(id, false)
      return { action: 'user.restored', detail: {} }
    })
  }

  /**
   * Deletes an account permanently.
   *
   * @throws AppError not_found; forbidden for an admin in ADMIN_USERNAMES, for oneself, and for the
   *   last owner of a team; conversation_busy when a running answer cannot be stopped;
   *   proof_required, unauthenticated.
   */
  async delete(actor: AdminActor, name: string) {
    const user = await this.#find(name)
    if (this.#deps.roles.isListed(user.username)) throw adminStays('operator')
    await this.#deps.transact(async (repositories) => {
      await this.#deps.roles.holdAdmin(repositories, actor)
      this.#deps.roles.refuseProtected(actor, user)
    })
    await this.#deps.deletion.run({ userId: user.id, by: adminAuditActor(actor) })
    return { username: user.username }
  }

  /** @returns also how many sessions ended, as the event of the change says. */
  async #change(
    actor: AdminActor,
    name: string,
    work: (
      repositories: Pick<InTransaction, Needed>,
      user: Found,
    ) => Promise<{ action: string; detail: AuditDetail }>,
  ): Promise<{ id: string; username: string; ended: number }> {
    const { id, username } = await this.#find(name)
    const ended = await this.#deps.transact(async (repositories) => {
      const { authority } = repositories
      await authority.lockEntrance(id)
      await this.#deps.roles.holdAdmin(repositories, actor)
      this.#deps.roles.refuseProtected(actor, { id, username })
      await authority.lockLive(id)
      const { action, detail } = await work(repositories, { id, username })
      await this.#deps.audit.record(repositories, {
        action,
        actor: adminAuditActor(actor),
        target: { kind: 'user', id },
        detail,
      })
      return Number(detail.sessions ?? 0)
    })
    return { id, username, ended }
  }

  async #find(name: string): Promise<Found> {
    const user = await this.#deps.repositories.users.findByUsername(name.toLowerCase())
    if (!user) throw noSuchUser()
    return user
  }
}
