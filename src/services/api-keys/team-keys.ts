import type { Claude } from '../../claude/client.ts'
import { refuseAdminKey } from '../../claude/key-proof.ts'
import { newId } from '../../crypto/random.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import type { TeamKeyStatus } from '../../repositories/teams/team-keys.ts'
import type { Caller } from '../access/caller.ts'
import type { SessionService } from '../access/sessions.ts'
import type { AuditLog } from '../audit/audit-log.ts'
import type { Vault } from '../keys/vault.ts'
import { holdTeam, recordInTeam } from '../teams/team-authority.ts'
import { teamArchived, teamNotFound, teamRoleTooSmall } from '../teams/team-errors.ts'
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

/**
 * The Anthropic key of a team, which its members may spend and no role may read. Its owners enter it
 * on a page only.
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

  /**
   * Stores the team's key, in place of the one that it has. Running answers end with the old one.
   *
   * @param team an id or a name.
   * @throws AppError not_found, forbidden unless the caller owns the team, proof_required,
   *   invalid_api_key, upstream_unavailable, unauthenticated; the old key then stays.
   */
  async replace(caller: Caller, team: string, apiKey: string): Promise<void> {
    const { role, archivedAt } = await this.#find(caller, team)
    if (!mayDecide(role)) throw teamRoleTooSmall(role, 'owner')
    if (archivedAt !== null) throw teamArchived()
    await this.#deps.sessions.requireProof(caller)
    refuseAdminKey(apiKey)
    if (this.#deps.validateApiKeys) await this.#deps.claude.proveKey(apiKey)
    await this.#change(caller, team, 'key.set', async ({ teamKeys }, teamId) => {
      const [id, lastFour] = [newId(), apiKey.slice(-4)]
      const vault = this.#deps.vault.openTeam(teamId, await teamKeys.getDataKey(teamId))
      const sealed = vault.sealApiKey(id, apiKey)
      await teamKeys.replace({ id, teamId, sealed, lastFour, addedBy: caller.userId })
      return { lastFour }
    })
  }

  /**
   * Destroys the team's key: nothing is paid by the team until it has another one. Running answers
   * end with it.
   *
   * @throws AppError not_found, forbidden unless the caller owns the team, unauthenticated.
   */
  async remove(caller: Caller, team: string): Promise<void> {
    await this.#change(caller, team, 'key.removed', async ({ teamKeys }, teamId) =>
      (await teamKeys.remove(teamId)) ? {} : null,
    )
  }

  async #find(caller: Caller, team: string) {
    const found = await this.#deps.repositories.teams.findOwn(teamRef(team), caller.userId)
    if (found === undefined) throw teamNotFound()
    return found
  }

  /** @param work returns the details of the event; null when nothing has changed. */
  async #change(
    caller: Caller,
    team: string,
    action: 'key.set' | 'key.removed',
    work: (
      repositories: Pick<Repositories, 'teamKeys'>,
      teamId: string,
    ) => Promise<Record<string, string> | null>,
  ): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      const mustBeProven = action === 'key.set'
      const held = await holdTeam(repositories, caller, team, { mustBeProven })
      if (!mayDecide(held.authority)) throw teamRoleTooSmall(held.authority, 'owner')
      const detail = await work(repositories, held.id)
      if (detail === null) return
      const target = { kind: 'team', id: held.id }
      const event = { action, target, teamId: held.id, detail }
      await recordInTeam(this.#deps.audit, repositories, caller, event)
    })
  }
}
