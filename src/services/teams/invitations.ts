/** Invitations without mail: a link that the inviter passes on, for one person, once. */

import { newId, newToken } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import type { InTransaction, Repositories, Transact } from '../../repositories/index.ts'
import type { Accepted, Invitee, OpenInvitation } from '../../repositories/teams/invitations.ts'
import type { TeamRole } from '../../repositories/teams/teams.ts'
import { actorOf } from '../access/actor.ts'
import { holdSession } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import { checked, Email, Username, wrongField } from '../access/field-rules.ts'
import { hashOf } from '../access/sessions.ts'
import type { AuditActor } from '../audit/audit-actor.ts'
import type { AuditLog } from '../audit/audit-log.ts'
import { holdTeam, memberOf, personOf, recordInTeam, type TeamActor } from './team-authority.ts'
import { teamRoleTooSmall } from './team-errors.ts'
import { mayAdmit } from './team-roles.ts'
import { MAX_INVITATIONS, MAX_MEMBERS, refuseTooManyTeams } from './teams.ts'

type Deps = {
  repositories: Pick<Repositories, 'invitations'>
  transact: Transact<
    'auditEvents' | 'authority' | 'invitations' | 'teamMembers' | 'teams' | 'users'
  >
  audit: Pick<AuditLog, 'record'>
  /** Without a trailing slash. */
  publicUrl: string
}

export type Invite = {
  role: TeamRole
  /** The only user who may accept; they may have no account yet. */
  username?: string | undefined
  /** Only an account that is made with the link, and with this address. */
  email?: string | undefined
  expiresInDays?: number | undefined
}

/** The url is shown once: only its hash is stored. */
export type NewInvite = { id: string; url: string; expiresAt: Date }

export const MAX_INVITATION_DAYS = 7
const DEFAULT_DAYS = 3
const DAY_MS = 86_400_000
const INVITATION_PATH = '/join'

export const invitationUrl = (publicUrl: string, token: string) =>
  `${publicUrl}${INVITATION_PATH}?invitation=${token}`

export class Invitations {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * @param team an id or a name.
   * @throws AppError not_found; forbidden for a role that the actor's does not include;
   *   invalid_input, also for a member and for too many; unauthenticated, insufficient_scope.
   */
  async create(actor: TeamActor, team: string, invite: Invite): Promise<NewInvite> {
    const bound = boundTo(invite)
    const expiresAt = expiryOf(invite.expiresInDays)
    const token = newToken('invite')
    const id = newId()
    await this.#deps.transact(async (repositories) => {
      const held = await holdTeam(repositories, actor, team)
      if (!mayAdmit(held.authority, invite.role)) {
        throw teamRoleTooSmall(held.authority, held.authority === 'member' ? 'admin' : 'owner')
      }
      await refuseMember(repositories, held.id, bound.usernameKey)
      const open = await repositories.invitations.listOpen(held.id, MAX_INVITATIONS)
      if (open.length >= MAX_INVITATIONS) throw tooMany()
      await repositories.invitations.insert({
        id,
        tokenHash: hashOf(token),
        teamId: held.id,
        teamRole: invite.role,
        installationRole: 'member',
        ...bound,
        authority: memberOf(actor) === undefined ? 'installation' : 'team',
        createdBy: personOf(actor)?.userId ?? null,
        expiresAt,
      })
      await recordInTeam(this.#deps.audit, repositories, actor, {
        action: 'invitation.created',
        target: { kind: 'invitation', id },
        teamId: held.id,
        detail: { role: invite.role, bound: bound.usernameKey !== null || bound.emailKey !== null },
      })
    })
    return { id, url: invitationUrl(this.#deps.publicUrl, token), expiresAt }
  }

  /** @throws AppError not_found for the team or the invitation; forbidden; unauthenticated. */
  async revoke(actor: TeamActor, team: string, id: string): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      const held = await holdTeam(repositories, actor, team)
      if (!mayAdmit(held.authority, 'member')) throw teamRoleTooSmall(held.authority, 'admin')
      if (!(await repositories.invitations.revoke(id, held.id))) throw noOpenInvitation()
      await recordInTeam(this.#deps.audit, repositories, actor, {
        action: 'invitation.revoked',
        target: { kind: 'invitation', id },
        teamId: held.id,
      })
    })
  }

  /** What an invitation says; changes nothing. Undefined: used, ended, revoked, or never one. */
  async look(token: string): Promise<OpenInvitation | undefined> {
    return this.#deps.repositories.invitations.findOpen(hashOf(token))
  }

  /**
   * Lets the caller into the team.
   *
   * @throws AppError not_found, the same for one that is used, ended, or not for the caller, who may
   *   also be in the team already; invalid_input for too many teams; unauthenticated.
   */
  async accept(caller: Caller, token: string): Promise<{ teamId: string }> {
    const invitee = {
      userId: caller.userId,
      usernameKey: caller.username.toLowerCase(),
      emailKey: null,
    }
    return this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['account'])
      await refuseTooManyTeams(repositories, caller.userId)
      const accepted = await this.redeem(repositories, token, invitee)
      if (accepted.teamId === null) throw noInvitation()
      await this.recordAccepted(repositories, accepted, invitee, actorOf(caller))
      return { teamId: accepted.teamId }
    })
  }

  /**
   * Uses an invitation up in the transaction that makes an account, or that accepts. Call
   * {@link recordAccepted} as the transaction's last step.
   *
   * @throws AppError not_found, as {@link accept}.
   */
  async redeem(
    repositories: Pick<InTransaction, 'invitations' | 'teamMembers' | 'teams' | 'users'>,
    token: string,
    invitee: Invitee,
  ): Promise<Accepted> {
    const { invitations, teams, teamMembers, users } = repositories
    const tokenHash = hashOf(token)
    const found = await invitations.findOpen(tokenHash)
    if (found === undefined) throw noInvitation()
    if (found.teamId !== null) {
      await teams.lock({ id: found.teamId }, null)
      if ((await teamMembers.count(found.teamId)) >= MAX_MEMBERS) throw teamFull()
    }
    const accepted = await invitations.use(tokenHash, invitee)
    if (accepted === undefined) throw noInvitation()
    const { installationRole } = accepted
    if (installationRole !== 'member') await users.setRole(invitee.userId, installationRole)
    return accepted
  }

  async recordAccepted(
    transaction: Pick<InTransaction, 'auditEvents'>,
    { id, teamId, teamRole, installationRole }: Accepted,
    { userId }: Invitee,
    actor: AuditActor,
  ): Promise<void> {
    await this.#deps.audit.record(transaction, {
      action: teamId === null ? 'invitation.accepted' : 'member.added',
      actor,
      target: { kind: 'user', id: userId },
      ...(teamId === null ? {} : { teamId }),
      detail: { invitation: id, role: teamRole ?? installationRole },
    })
  }
}

/** A member could not use it. @throws AppError invalid_input. */
async function refuseMember(
  { teamMembers }: Pick<InTransaction, 'teamMembers'>,
  teamId: string,
  usernameKey: string | null,
): Promise<void> {
  if (usernameKey === null) return
  const member = await teamMembers.find(teamId, usernameKey)
  if (member !== undefined) throw wrongField('username', `is a member already: ${member.role}`)
}

/** @throws AppError invalid_input. */
export function boundTo({ username, email }: Pick<Invite, 'email' | 'username'>) {
  if (username !== undefined && email !== undefined) {
    throw wrongField('email', 'cannot be given together with username')
  }
  return {
    usernameKey:
      username === undefined ? null : checked(Username, username, 'username').toLowerCase(),
    emailKey: email === undefined ? null : checked(Email, email, 'email').toLowerCase(),
  }
}

/** @throws AppError invalid_input. */
export function expiryOf(days = DEFAULT_DAYS): Date {
  if (!Number.isInteger(days) || days < 1 || days > MAX_INVITATION_DAYS) {
    throw wrongField('expires_in_days', `must be 1 to ${MAX_INVITATION_DAYS}`)
  }
  return new Date(Date.now() + days * DAY_MS)
}

/** The same for all that keeps one from being accepted: it does not tell whose it was. */
export const noInvitation = () =>
  new AppError(
    'not_found',
    'This invitation cannot be used: it was used, has ended, was taken back, or is for another person. Ask for a new one.',
    { details: { field: 'invitation' } },
  )

/** For those who take it back. */
const noOpenInvitation = () =>
  new AppError(
    'not_found',
    'This team has no such open invitation: it was used, has ended or was taken back.',
    { details: { field: 'invitation_id' } },
  )

const teamFull = () =>
  wrongField('invitation', `leads to a team that has ${MAX_MEMBERS} members, the most`)

const tooMany = () =>
  new AppError(
    'invalid_input',
    `This team has ${MAX_INVITATIONS} open invitations, which is the most. Take one back, or wait until some have ended.`,
  )
