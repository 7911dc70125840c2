/** The authority for what is done to a team: a live session, and a role that it still has. */

import type { InTransaction } from '../../repositories/index.ts'
import { actorOf } from '../access/actor.ts'
import { holdSession } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import type { InstallationRoles } from '../access/installation-roles.ts'
import { OPERATOR } from '../audit/audit-actor.ts'
import type { AuditEvent, AuditLog, AuditTransaction } from '../audit/audit-log.ts'
import { noSuchTeam, teamArchived, teamNotFound } from './team-errors.ts'
import { teamRef } from './team-name.ts'
import type { TeamAuthority } from './team-roles.ts'

/** An admin of the installation, on the pages. */
export type TeamAdmin = { admin: Caller; roles: InstallationRoles }

/** A member, an admin of the installation, or the admin command. */
export type TeamActor = Caller | TeamAdmin | 'operator'

/** Undefined for the operator, who has no account. */
export function personOf(actor: Caller | TeamAdmin): Caller
export function personOf(actor: TeamActor): Caller | undefined
export function personOf(actor: TeamActor): Caller | undefined {
  if (actor === 'operator') return undefined
  return 'admin' in actor ? actor.admin : actor
}

/** Undefined for those who act without being in the team. */
export const memberOf = (actor: TeamActor): Caller | undefined =>
  actor === 'operator' || 'admin' in actor ? undefined : actor

export type HeldTeam = { id: string; name: string; authority: TeamAuthority; isArchived: boolean }

type TeamDemand = { mustBeProven?: boolean; mayBeArchived?: boolean }

type Locks = Pick<InTransaction, 'authority' | 'teamMembers' | 'teams' | 'users'>

/**
 * Locks the actor's session and the team, in this order, so that neither the session nor the team's
 * members can change before the transaction ends.
 *
 * @param team an id or a name.
 * @param mustBeProven on the pages, the password was given recently.
 * @param mayBeArchived for what changes nothing of the team itself.
 * @throws AppError not_found, also for a team that the actor is not in; forbidden when it is
 *   archived; unauthenticated, insufficient_scope, proof_required.
 */
export async function holdTeam(
  repositories: Locks,
  actor: TeamActor,
  team: string,
  { mustBeProven = false, mayBeArchived = false }: TeamDemand = {},
): Promise<HeldTeam> {
  const member = memberOf(actor)
  const memberId = member?.userId ?? null
  if (member) await holdSession(repositories, member, ['teams:manage'], { mustBeProven })
  else if (actor !== 'operator' && 'admin' in actor) {
    await actor.roles.holdAdmin(repositories, actor.admin)
  }
  const found = await repositories.teams.lock(teamRef(team), memberId)
  if (found === undefined) throw memberId === null ? noSuchTeam() : teamNotFound()
  // Read behind the lock: it may have changed while that was waited for.
  const authority =
    memberId === null ? 'installation' : await repositories.teamMembers.roleOf(found.id, memberId)
  if (authority === undefined) throw teamNotFound()
  const isArchived = found.archivedAt !== null
  if (isArchived && !mayBeArchived) throw teamArchived()
  return { id: found.id, name: found.name, authority, isArchived }
}

/**
 * Records what was done in the team's chain; what was done to it from outside also in that of the
 * installation, which is locked first.
 */
export async function recordInTeam(
  audit: Pick<AuditLog, 'record'>,
  transaction: AuditTransaction,
  by: TeamActor,
  { teamId, detail = {}, ...event }: Omit<AuditEvent, 'actor'> & { teamId: string },
): Promise<void> {
  const person = personOf(by)
  const actor = person === undefined ? OPERATOR : actorOf(person)
  if (memberOf(by) === undefined) {
    await audit.record(transaction, { ...event, actor, detail: { ...detail, team: teamId } })
  }
  await audit.record(transaction, { ...event, actor, teamId, detail })
}
