/** Invitations to the gateway itself: for any name, or for a name in ADMIN_USERNAMES that is free. */

import { newId, newToken } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import type { InstallationRole } from '../../repositories/teams/invitations.ts'
import {
  type AdminActor,
  adminAuditActor,
  type InstallationRoles,
} from '../access/installation-roles.ts'
import { hashOf } from '../access/sessions.ts'
import type { AuditLog } from '../audit/audit-log.ts'
import { boundTo, expiryOf, invitationUrl, type NewInvite } from '../teams/invitations.ts'
import { MAX_INVITATIONS } from '../teams/teams.ts'

type Deps = {
  repositories: Pick<Repositories, 'invitations' | 'users'>
  transact: Transact<'auditEvents' | 'authority' | 'invitations' | 'users'>
  audit: Pick<AuditLog, 'record'>
  roles: InstallationRoles
  /** Without a trailing slash. */
  publicUrl: string
}

export type AccountInvite = {
  role: InstallationRole
  email?: string | undefined
  expiresInDays?: number | undefined
}

export class AccountInvitations {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** @throws AppError invalid_input, also for too many; forbidden, proof_required, unauthenticated. */
  async create(actor: AdminActor, invite: AccountInvite): Promise<NewInvite> {
    const bound = boundTo(invite)
    const expiresAt = expiryOf(invite.expiresInDays)
    const [id, token] = [newId(), newToken('invite')]
    await this.#deps.transact(async (repositories) => {
      await this.#deps.roles.holdAdmin(repositories, actor)
      const open = await repositories.invitations.listOpen(null, MAX_INVITATIONS)
      if (open.length >= MAX_INVITATIONS) throw tooMany()
      await repositories.invitations.insert({
        ...{ id, tokenHash: hashOf(token), teamId: null, teamRole: null, ...bound, expiresAt },
        installationRole: invite.role,
        authority: 'installation',
        createdBy: actor === 'operator' ? null : actor.userId,
      })
      await this.#deps.audit.record(repositories, {
        action: 'invitation.created',
        actor: adminAuditActor(actor),
        target: { kind: 'invitation', id },
        detail: { role: invite.role, bound: bound.emailKey !== null },
      })
    })
    return { id, url: invitationUrl(this.#deps.publicUrl, token), expiresAt }
  }

  /** @throws AppError not_found; forbidden, proof_required, unauthenticated. */
  async revoke(actor: AdminActor, id: string): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      await this.#deps.roles.holdAdmin(repositories, actor)
      const isEnded = await repositories.invitations.revoke(id, null)
      if (!isEnded) throw new AppError('not_found', 'There is no such invitation.')
      await this.#deps.audit.record(repositories, {
        action: 'invitation.revoked',
        actor: adminAuditActor(actor),
        target: { kind: 'invitation', id },
      })
    })
  }

  async listOpen() {
    return this.#deps.repositories.invitations.listOpen(null, MAX_INVITATIONS)
  }

  /**
   * New links for the names in ADMIN_USERNAMES that have no account: the only way, beside the admin
   * command, in which they get one.
   */
  async inviteListed(): Promise<{ username: string; url: string }[]> {
    const invited = []
    for (const username of this.#deps.roles.listed) {
      const user = await this.#deps.repositories.users.findByUsername(username)
      if (user === undefined) invited.push({ username, url: await this.#inviteListed(username) })
    }
    return invited
  }

  async #inviteListed(usernameKey: string): Promise<string> {
    const token = newToken('invite')
    await this.#deps.transact(async ({ invitations }) => {
      await invitations.insert({
        ...{ id: newId(), tokenHash: hashOf(token), teamId: null, teamRole: null },
        ...{ usernameKey, emailKey: null, installationRole: 'member', createdBy: null },
        authority: 'installation',
        expiresAt: expiryOf(undefined),
      })
      await invitations.revokeOlder(usernameKey, MOST_OF_A_NAME)
    })
    return invitationUrl(this.#deps.publicUrl, token)
  }
}

/** Each replica makes one at its start. */
const MOST_OF_A_NAME = 10

const tooMany = () =>
  new AppError(
    'invalid_input',
    `There are ${MAX_INVITATIONS} open invitations, which is the most. Take one back first.`,
  )
