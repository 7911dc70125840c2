import type { InTransaction, Transact } from '../../repositories/index.ts'
import type { TeamMember } from '../../repositories/teams/team-members.ts'
import type { TeamRole } from '../../repositories/teams/teams.ts'
import { wrongField } from '../access/field-rules.ts'
import type { AuditDetail, AuditLog } from '../audit/audit-log.ts'
import {
  type HeldTeam,
  holdTeam,
  memberOf,
  personOf,
  recordInTeam,
  type TeamActor,
} from './team-authority.ts'
import {
  lastOwner,
  lastOwnerOfArchived,
  memberNotFound,
  notOneself,
  teamRoleTooSmall,
} from './team-errors.ts'
import { mayAdmit, mayDecide } from './team-roles.ts'
import { MAX_MEMBERS, refuseTooManyTeams } from './teams.ts'

type Needed =
  | 'auditEvents'
  | 'authority'
  | 'budgetRequests'
  | 'grants'
  | 'teamMembers'
  | 'teams'
  | 'users'
type Deps = {
  transact: Transact<Needed>
  audit: Pick<AuditLog, 'record'>
  /** Tells the process that generates an answer to stop it. */
  answers: { tellToStop(answerId: string): Promise<void> }
  calls: StoppableCalls
}

/** Calls of the Messages API that this process runs; others hear of it by their rows. */
type StoppableCalls = { cancel(id: string): void }

/** Who is in a team, and as what. It always keeps an owner who can sign in. */
export class TeamMembers {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Adds a user for the operator, without an invitation. @returns false when they are in it already.
   *
   * @throws AppError not_found for the team, invalid_input for too many teams or members.
   */
  async add(userId: string, team: string, role: TeamRole): Promise<boolean> {
    return this.#deps.transact(async (repositories) => {
      await refuseTooManyTeams(repositories, userId)
      const held = await holdTeam(repositories, 'operator', team)
      const isAdded = await addMember(repositories, { team: held, userId, role, addedBy: null })
      if (isAdded)
        await this.#record(repositories, 'member.added', 'operator', held, userId, { role })
      return isAdded
    })
  }

  /**
   * @param team an id or a name, here and below.
   * @throws AppError not_found for the team or the member; forbidden unless the actor owns the team,
   *   and when it would be left without an owner; unauthenticated, insufficient_scope.
   */
  async setRole(actor: TeamActor, team: string, username: string, role: TeamRole): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      const held = await holdTeam(repositories, actor, team, { mustBeProven: true })
      if (!mayDecide(held.authority)) throw teamRoleTooSmall(held.authority, 'owner')
      const member = await find(repositories, held, username)
      const isOwn = member.userId === personOf(actor)?.userId
      if (isOwn && memberOf(actor) === undefined) throw notOneself()
      if (member.role === role) return
      await repositories.teamMembers.setRole(held.id, member.userId, role)
      await keepAnOwner(repositories, held, member)
      const detail = { before: member.role, role }
      await this.#record(repositories, 'member.role_changed', actor, held, member.userId, detail)
    })
  }

  /**
   * Takes a member out, or lets the actor leave, also a team that is archived. What they were given
   * through the team ends with their very next call, also for an answer that they wait for; their own
   * conversations, keys and sessions stay.
   *
   * @throws AppError not_found for the team or the member; forbidden when the actor's role does not
   *   include it, and when the team would be left without an owner; unauthenticated,
   *   insufficient_scope.
   */
  async remove(actor: TeamActor, team: string, username: string): Promise<void> {
    const isLeaving = isSame(username, memberOf(actor)?.username ?? '')
    const stopped = await this.#deps.transact(async (repositories) => {
      const demand = { mustBeProven: !isLeaving, mayBeArchived: isLeaving }
      const held = await holdTeam(repositories, actor, team, demand)
      const member = await find(repositories, held, username)
      if (!isLeaving && !mayAdmit(held.authority, member.role)) {
        throw teamRoleTooSmall(held.authority, held.authority === 'member' ? 'admin' : 'owner')
      }
      await repositories.teamMembers.delete(held.id, member.userId)
      await repositories.budgetRequests.endOfMember(held.id, member.userId)
      await keepAnOwner(repositories, held, member)
      const answers = await repositories.grants.cancelOfTeam(held.id, member.userId)
      const calls = await repositories.teamMembers.cancelCalls(held.id, member.userId)
      const action = isLeaving ? 'member.left' : 'member.removed'
      await this.#record(repositories, action, actor, held, member.userId, { role: member.role })
      return { answers, calls }
    })
    for (const id of stopped.calls) this.#deps.calls.cancel(id)
    for (const answerId of stopped.answers) await this.#deps.answers.tellToStop(answerId)
  }

  async #record(
    transaction: Pick<InTransaction, 'auditEvents'>,
    action: string,
    actor: TeamActor,
    { id: teamId }: HeldTeam,
    userId: string,
    detail: AuditDetail,
  ): Promise<void> {
    const event = { action, target: { kind: 'user', id: userId }, teamId, detail }
    await recordInTeam(this.#deps.audit, transaction, actor, event)
  }
}

type NewMember = { team: HeldTeam; userId: string; role: TeamRole; addedBy: string | null }

/**
 * To a team that is locked. @returns false when the user is in it already; their role stays.
 *
 * @throws AppError invalid_input when it is full.
 */
async function addMember(
  { teamMembers }: Pick<InTransaction, 'teamMembers'>,
  { team, ...member }: NewMember,
): Promise<boolean> {
  if ((await teamMembers.count(team.id)) >= MAX_MEMBERS) {
    throw wrongField('team', `has ${MAX_MEMBERS} members, which is the most`)
  }
  return teamMembers.insert({ ...member, teamId: team.id })
}

const keyOf = (username: string) => username.trim().toLowerCase()
const isSame = (one: string, other: string) => keyOf(one) === keyOf(other)

async function find(
  { teamMembers }: Pick<InTransaction, 'teamMembers'>,
  team: HeldTeam,
  username: string,
): Promise<TeamMember> {
  const member = await teamMembers.find(team.id, keyOf(username))
  if (member === undefined) throw memberNotFound()
  return member
}

/** @param member as they were before the change. @throws AppError forbidden. */
async function keepAnOwner(
  { teamMembers }: Pick<InTransaction, 'teamMembers'>,
  team: HeldTeam,
  member: TeamMember,
): Promise<void> {
  if (member.role !== 'owner') return
  if ((await teamMembers.countActiveOwners(team.id)) > 0) return
  throw team.isArchived ? lastOwnerOfArchived() : lastOwner()
}
