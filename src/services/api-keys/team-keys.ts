import type { Claude } from '../../claude/client.ts'
import { refuseAdminKey } from '../../claude/key-proof.ts'
import { newId } from '../../crypto/random.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import type { TeamKeyStatus } from '../../repositories/teams/team-keys.ts'
import type { Caller } from '../access/caller.ts'
import { requireAdmin, requireAuditor } from '../access/installation-roles.ts'
import type { SessionService } from '../access/sessions.ts'
import type { AuditLog } from '../audit/audit-log.ts'
import type { Vault } from '../keys/vault.ts'
import { holdTeam, personOf, recordInTeam, type TeamAdmin } from '../teams/team-authority.ts'
import { noSuchTeam, teamArchived, teamNotFound, teamRoleTooSmall } from '../teams/team-errors.ts'
import { teamRef } from '../teams/team-name.ts'
import { mayDecide } from '../teams/team-roles.ts'

type Deps = {
  repositories: Pick<Repositories, 'teamKeys' | 'teams'>
  transact: Transact<'auditEvents' | 'authority' | 'teamKeys' | 'teamMembers' | 'teams' | 'users'>
  audit: Pick<AuditLog, 'record'>
  claude: Pick<Claude, 'proveKey'>
  sessions: Pick<SessionService, 'requireProof'>
  vault: Vault
  validateApiKeys: boolean
}

/** No command enters a key. */
type KeyActor = Caller | TeamAdmin

/**
 * The Anthropic key of a team, which its members may spend and no role may read. Its owners and admins
 * of the installation enter it, on a page only.
 */
export class TeamKeys {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Null when the team has none. @throws AppError not_found for a team that the caller is not in. */
  async status(caller: Caller, team: string): Promise<TeamKeyStatus | null> {
    const { id } = await this.#find(caller, team)
    return (await this.#deps.repositories.teamKeys.findStatus(id)) ?? null
  }

  /** The same of any team, for auditors and admins of the installation. @throws AppError forbidden. */
  async statusOfAny(caller: Caller, id: string): Promise<TeamKeyStatus | null> {
    requireAuditor(caller)
    return (await this.#deps.repositories.teamKeys.findStatus(id)) ?? null
  }

  /**
   * Stores the team's key, in place of the one that it has. Running answers end with the old one.
   *
   * @param team an id or a name.
   * @throws AppError not_found, forbidden unless the actor owns the team or is an admin of the
   *   installation, proof_required, invalid_api_key, upstream_unavailable, unauthenticated; the old key
   *   then stays.
   */
  async replace(actor: KeyActor, team: string, apiKey: string): Promise<void> {
    const { authority, archivedAt } = await this.#find(actor, team)
    if (!mayDecide(authority)) throw teamRoleTooSmall(authority, 'owner')
    if (archivedAt !== null) throw teamArchived()
    const person = personOf(actor)
    await this.#deps.sessions.requireProof(person)
    refuseAdminKey(apiKey)
    if (this.#deps.validateApiKeys) await this.#deps.claude.proveKey(apiKey)
    await this.#change(actor, team, 'key.set', async ({ teamKeys }, teamId) => {
      const [id, lastFour] = [newId(), apiKey.slice(-4)]
      const vault = this.#deps.vault.openTeam(teamId, await teamKeys.getDataKey(teamId))
      const sealed = vault.sealApiKey(id, apiKey)
      await teamKeys.replace({ id, teamId, sealed, lastFour, addedBy: person.userId })
      return { lastFour }
    })
  }

  /**
   * Destroys the team's key: nothing is paid by the team until it has another one. Running answers
   * end with it.
   *
   * @throws AppError not_found, forbidden unless the actor owns the team or is an admin of the
   *   installation, for whom also proof_required; unauthenticated.
   */
  async remove(actor: KeyActor, team: string): Promise<void> {
    await this.#change(actor, team, 'key.removed', async ({ teamKeys }, teamId) =>
      (await teamKeys.remove(teamId)) ? {} : null,
    )
  }

  async #find(actor: KeyActor, team: string) {
    const { teams } = this.#deps.repositories
    if ('admin' in actor) {
      requireAdmin(actor.admin)
      const any = await teams.findAny(teamRef(team))
      if (any === undefined) throw noSuchTeam()
      return { ...any, authority: 'installation' as const }
    }
    const own = await teams.findOwn(teamRef(team), actor.userId)
    if (own === undefined) throw teamNotFound()
    return { ...own, authority: own.role }
  }

  /** @param work returns the details of the event; null when nothing has changed. */
  async #change(
    actor: KeyActor,
    team: string,
    action: 'key.set' | 'key.removed',
    work: (
      repositories: Pick<Repositories, 'teamKeys'>,
      teamId: string,
    ) => Promise<Record<string, string> | null>,
  ): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      const mustBeProven = action === 'key.set'
      const held = await holdTeam(repositories, actor, team, { mustBeProven })
      if (!mayDecide(held.authority)) throw teamRoleTooSmall(held.authority, 'owner')
      const detail = await work(repositories, held.id)
      if (detail === null) return
      const target = { kind: 'team', id: held.id }
      const event = { action, target, teamId: held.id, detail }
      await recordInTeam(this.#deps.audit, repositories, actor, event)
    })
  }
}
