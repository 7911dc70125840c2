import { newId } from '../../crypto/random.ts'
import type { InTransaction, Repositories, Transact } from '../../repositories/index.ts'
import type { ListedTeam, TeamPayment, TeamSettings } from '../../repositories/teams/teams.ts'
import { holdSession } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import { checked, wrongField } from '../access/field-rules.ts'
import { type InstallationRoles, requireAuditor } from '../access/installation-roles.ts'
import type { AuditDetail, AuditLog } from '../audit/audit-log.ts'
import type { AuditReading } from '../audit/audit-reading.ts'
import type { Vault } from '../keys/vault.ts'
import {
  holdTeam,
  personOf,
  recordInTeam,
  type TeamActor,
  type TeamAdmin,
} from './team-authority.ts'
import {
  noSuchTeam,
  type TeamNameField,
  teamNameTaken,
  teamNotFound,
  teamRoleTooSmall,
} from './team-errors.ts'
import { TeamName, teamNameKey, teamRef } from './team-name.ts'
import { mayAdmit, mayDecide } from './team-roles.ts'

type Deps = {
  repositories: Pick<Repositories, 'invitations' | 'teamMembers' | 'teams'>
  transact: Transact<
    'auditEvents' | 'authority' | 'grants' | 'teamKeys' | 'teamMembers' | 'teams' | 'users'
  >
  audit: Pick<AuditLog, 'record'>
  auditReading: Pick<AuditReading, 'page'>
  vault: Pick<Vault, 'createTeamKey'>
  roles: InstallationRoles
  /** Tells the process that generates an answer to stop it. */
  answers: { tellToStop(answerId: string): Promise<void> }
  /** Stops those of the Messages API that this process runs. */
  calls: { cancel(id: string): void }
}

type Deciding = Pick<InTransaction, 'auditEvents' | 'grants' | 'teamKeys' | 'teamMembers' | 'teams'>

/** Teams that are in use, of one user. */
export const MAX_TEAMS = 50
export const MAX_MEMBERS = 1000
/** That can still be accepted, of one team. */
export const MAX_INVITATIONS = 100

export class Teams {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Makes a team with the caller as its owner.
   *
   * @param field the argument that holds the name, for errors.
   * @throws AppError invalid_input, also for a name that is taken and for too many teams;
   *   unauthenticated, insufficient_scope.
   */
  async create(
    caller: Caller,
    wantedName: string,
    field: TeamNameField = 'name',
  ): Promise<{ id: string; name: string }> {
    const name = checked(TeamName, wantedName, field)
    return this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['teams:manage'])
      await refuseTooManyTeams(repositories, caller.userId)
      const team = await this.#insert(repositories, caller, caller.userId, { name, field })
      await this.#record(repositories, 'team.created', caller, team.id)
      return team
    })
  }

  /**
   * Makes a team for the operator, with this user as its owner.
   *
   * @throws AppError invalid_input, also for a name that is taken and for too many teams.
   */
  async add(ownerId: string, wantedName: string): Promise<{ id: string; name: string }> {
    const name = checked(TeamName, wantedName, 'name')
    return this.#deps.transact(async (repositories) => {
      await refuseTooManyTeams(repositories, ownerId)
      const team = await this.#insert(repositories, 'operator', ownerId, { name, field: 'name' })
      await this.#record(repositories, 'team.created', 'operator', team.id)
      return team
    })
  }

  /**
   * @param team an id or a name, here and below.
   * @throws AppError not_found, forbidden unless the actor owns it, invalid_input for the name.
   */
  async rename(actor: TeamActor, team: string, wantedName: string): Promise<{ name: string }> {
    const name = checked(TeamName, wantedName, 'name')
    return this.#decide(actor, team, async (repositories, id) => {
      const outcome = await repositories.teams.rename(id, name, teamNameKey(name))
      if (outcome === 'name_taken') throw teamNameTaken('name')
      await this.#record(repositories, 'team.renamed', actor, id)
      return { name }
    })
  }

  /**
   * Ends a team for good: what was shared with it is shared no more, and nothing is paid by it. Its
   * members and its figures stay to be seen, and its name stays taken.
   *
   * @throws AppError not_found, forbidden unless the actor owns it.
   */
  async archive(actor: TeamActor, team: string): Promise<void> {
    const archive = async (repositories: Deciding, id: string) => {
      await repositories.teams.archive(id)
      await repositories.teamKeys.remove(id)
      const answers = await repositories.grants.cancelOfTeam(id, null)
      const calls = await repositories.teamMembers.cancelCalls(id, null)
      await this.#record(repositories, 'team.archived', actor, id)
      return { answers, calls }
    }
    const stopped = await this.#decide(actor, team, archive, { mustBeProven: true })
    for (const callId of stopped.calls) this.#deps.calls.cancel(callId)
    for (const answerId of stopped.answers) await this.#deps.answers.tellToStop(answerId)
  }

  /** All teams by name, after one, for the operator and for auditors; `next`: the name to go on after. */
  async listAll({ after, limit }: { after: string; limit: number }) {
    const rows = await this.#deps.repositories.teams.listAll(teamNameKey(after), limit + 1)
    const teams = rows.slice(0, limit)
    return { teams, next: rows.length > limit ? teams.at(-1)?.name : undefined }
  }

  /** The caller's teams, by name; archived ones last. */
  async list(caller: Caller): Promise<ListedTeam[]> {
    return this.#deps.repositories.teams.listOwn(caller.userId)
  }

  /**
   * One team of the caller's, with its members by name and, for those who may invite, the open
   * invitations.
   *
   * @throws AppError not_found.
   */
  async read(caller: Caller, team: string) {
    const { invitations, teams, teamMembers } = this.#deps.repositories
    const found = await teams.findOwn(teamRef(team), caller.userId)
    if (found === undefined) throw teamNotFound()
    const isManaged = mayAdmit(found.role, 'member')
    return {
      team: found,
      members: await teamMembers.list(found.id, MAX_MEMBERS),
      invitations: isManaged ? await invitations.listOpen(found.id, MAX_INVITATIONS) : [],
    }
  }

  /** For the pages of admins, who are in none of the teams. */
  asAdmin(caller: Caller): TeamAdmin {
    return { admin: caller, roles: this.#deps.roles }
  }

  /**
   * Any team, for auditors and admins of the installation: admins may do in it what its owners may.
   *
   * @throws AppError forbidden, not_found.
   */
  async readAny(caller: Caller, id: string) {
    requireAuditor(caller)
    const { invitations, teams, teamMembers } = this.#deps.repositories
    const found = await teams.find(id)
    if (found === undefined) throw noSuchTeam()
    return {
      team: { ...found, role: caller.isAdmin ? ('owner' as const) : ('member' as const) },
      members: await teamMembers.list(id, MAX_MEMBERS),
      invitations: caller.isAdmin ? await invitations.listOpen(id, MAX_INVITATIONS) : [],
    }
  }

  /** @throws AppError forbidden, not_found. */
  async listEventsOfAny(caller: Caller, id: string, beforeSeq: string | null) {
    requireAuditor(caller)
    const found = await this.#deps.repositories.teams.find(id)
    if (found === undefined) throw noSuchTeam()
    return { team: found, ...(await this.#deps.auditReading.page(id, beforeSeq)) }
  }

  /**
   * Decides who may share conversations with the team, and what becomes of those that belong to it when
   * their owner deletes their account. What is left out stays.
   *
   * @throws AppError not_found, forbidden unless the actor owns it.
   */
  async change(actor: TeamActor, team: string, settings: TeamSettings): Promise<void> {
    await this.#decide(actor, team, async (repositories, id) => {
      await repositories.teams.change(id, settings)
      await this.#record(repositories, 'team.changed', actor, id, { ...settings })
    })
  }

  /**
   * Decides who pays in conversations that belong to the team: what they begin with.
   *
   * @throws AppError not_found, forbidden unless the actor owns it.
   */
  async setPayment(actor: TeamActor, team: string, payment: TeamPayment): Promise<void> {
    await this.#decide(actor, team, async (repositories, id) => {
      await repositories.teams.setPayment(id, payment)
      await this.#record(repositories, 'team.changed', actor, id, payment)
    })
  }

  /**
   * A page of the team's audit log, newest first.
   *
   * @param beforeSeq of the last event of the page before; null for the first page.
   * @throws AppError not_found; forbidden for those who do not manage it.
   */
  async listEvents(caller: Caller, team: string, beforeSeq: string | null) {
    const { teams } = this.#deps.repositories
    const found = await teams.findOwn(teamRef(team), caller.userId)
    if (found === undefined) throw teamNotFound()
    if (!mayAdmit(found.role, 'member')) throw teamRoleTooSmall(found.role, 'admin')
    return { team: found, ...(await this.#deps.auditReading.page(found.id, beforeSeq)) }
  }

  async #insert(
    { teams, teamMembers }: Pick<InTransaction, 'teamMembers' | 'teams'>,
    actor: TeamActor,
    ownerId: string,
    { name, field }: { name: string; field: TeamNameField },
  ) {
    const id = newId()
    const createdBy = personOf(actor)?.userId ?? null
    const dataKey = this.#deps.vault.createTeamKey(id)
    const outcome = await teams.insert({ id, name, nameKey: teamNameKey(name), dataKey, createdBy })
    if (outcome === 'name_taken') throw teamNameTaken(field)
    await teamMembers.insert({ teamId: id, userId: ownerId, role: 'owner', addedBy: createdBy })
    return { id, name }
  }

  async #decide<T>(
    actor: TeamActor,
    team: string,
    work: (repositories: Deciding, id: string) => Promise<T>,
    demand: { mustBeProven?: boolean } = {},
  ): Promise<T> {
    return this.#deps.transact(async (repositories) => {
      const { id, authority } = await holdTeam(repositories, actor, team, demand)
      if (!mayDecide(authority)) throw teamRoleTooSmall(authority, 'owner')
      return work(repositories, id)
    })
  }

  async #record(
    transaction: Pick<InTransaction, 'auditEvents'>,
    action: string,
    actor: TeamActor,
    teamId: string,
    detail: AuditDetail = {},
  ): Promise<void> {
    const event = { action, target: { kind: 'team', id: teamId }, teamId, detail }
    await recordInTeam(this.#deps.audit, transaction, actor, event)
  }
}

/** Call it before a team is locked. @throws AppError invalid_input. */
export async function refuseTooManyTeams(
  { teamMembers }: Pick<InTransaction, 'teamMembers'>,
  userId: string,
): Promise<void> {
  await teamMembers.lockTeamsOf(userId)
  if ((await teamMembers.countTeamsOf(userId)) < MAX_TEAMS) return
  throw wrongField('team', `would be one too many: nobody is in more than ${MAX_TEAMS} teams`)
}
