/** Links by which a user chooses a new password, made by an admin who never sees it. */

import type { Passwords } from '../../crypto/passwords.ts'
import { newToken } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import { checkChosenPassword, noSuchUser } from '../access/field-rules.ts'
import {
  type AdminActor,
  adminAuditActor,
  type InstallationRoles,
} from '../access/installation-roles.ts'
import { hashOf } from '../access/sessions.ts'
import { SYSTEM } from '../audit/audit-actor.ts'
import type { AuditLog } from '../audit/audit-log.ts'
import type { PasswordCheck } from './password-check.ts'

type Deps = {
  repositories: Pick<Repositories, 'oneTimeLinks' | 'users'>
  transact: Transact<'auditEvents' | 'authority' | 'oneTimeLinks' | 'sessions' | 'users'>
  audit: Pick<AuditLog, 'record'>
  roles: InstallationRoles
  passwords: Passwords
  passwordCheck: Pick<PasswordCheck, 'forgive'>
  /** Without a trailing slash. */
  publicUrl: string
}

const LIFETIME_MS = 24 * 3_600_000
/** Valid links of one user; a further one replaces the oldest. */
const MOST_LINKS = 3

export class PasswordLinks {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Valid for a day and one use. Only its SHA-256 is stored.
   *
   * @throws AppError not_found; forbidden, also for oneself and for names in ADMIN_USERNAMES;
   *   proof_required, unauthenticated.
   */
  async create(actor: AdminActor, name: string): Promise<{ url: string; expiresAt: Date }> {
    const user = await this.#deps.repositories.users.findByUsername(name.toLowerCase())
    if (!user) throw noSuchUser()
    const link = newToken('reset')
    const expiresAt = new Date(Date.now() + LIFETIME_MS)
    await this.#deps.transact(async (repositories) => {
      await this.#deps.roles.holdAdmin(repositories, actor)
      this.#deps.roles.refuseProtected(actor, user)
      const row = {
        tokenHash: hashOf(link),
        userId: user.id,
        expiresAt,
        purpose: 'password' as const,
      }
      await repositories.oneTimeLinks.insert(row, MOST_LINKS)
      await this.#deps.audit.record(repositories, {
        action: 'password.link_created',
        actor: adminAuditActor(actor),
        target: { kind: 'user', id: user.id },
      })
    })
    return { url: `${this.#deps.publicUrl}/reset?link=${link}`, expiresAt }
  }

  /** Whose it is; changes nothing. Undefined: used, ended, or never one. */
  async look(link: string): Promise<{ username: string } | undefined> {
    const found = await this.#userOf(link)
    return found && { username: found.username }
  }

  /**
   * Replaces the password of the link's user and ends all of their sessions.
   *
   * @param network of the request, for the audit log.
   * @throws AppError not_found for a link that cannot be used; invalid_input for the password.
   */
  async use(link: string, password: string, network: string | null): Promise<{ username: string }> {
    const user = await this.#userOf(link)
    if (user === undefined) throw linkUsed()
    await checkChosenPassword(password, user, 'password')
    const passwordHash = await this.#deps.passwords.hash(password, user.id)
    const { id } = user
    await this.#deps.transact(async (repositories) => {
      const { authority, oneTimeLinks, sessions, users } = repositories
      await authority.lockEntrance(id)
      await authority.lockLive(id)
      if (!(await oneTimeLinks.use(hashOf(link), id, 'password'))) throw linkUsed()
      await users.putPasswordHash(id, passwordHash)
      const ended = await sessions.revokeAll(id)
      await this.#deps.audit.record(repositories, {
        action: 'password.reset',
        actor: { ...SYSTEM, kind: 'user', addressPrefix: network },
        target: { kind: 'user', id },
        detail: { sessions: ended },
      })
    })
    await this.#deps.passwordCheck.forgive(user.username)
    return { username: user.username }
  }

  async #userOf(link: string) {
    const { oneTimeLinks, users } = this.#deps.repositories
    const id = await oneTimeLinks.findUser(hashOf(link), 'password')
    return id === undefined ? undefined : users.findById(id)
  }
}

const linkUsed = () =>
  new AppError(
    'not_found',
    'This link cannot be used: it was used, or has ended. Ask for a new one.',
  )
