import type { Reservation } from '../../repositories/billing/budgets.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import { SYSTEM } from '../audit/audit-actor.ts'
import type { AuditLog } from '../audit/audit-log.ts'

type Deps = {
  transact: Transact<'apiKeys' | 'auditEvents' | 'teamKeys'>
  audit: Pick<AuditLog, 'record'>
}

/** Whose key paid: the user's own, unless a team's did. */
export type UsedKey = { userId: string; team?: Reservation['team'] }

/** Keys that Anthropic refuses: the pages say so, and so does the audit log. */
export class KeyRejections {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Notes that Anthropic refused the key, or that it works again. Recorded when that is new. */
  async note(key: UsedKey, isRejected: boolean): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      const lastFour = await update(repositories, key, isRejected ? new Date() : null)
      if (lastFour === undefined || !isRejected) return
      const { userId, team } = key
      await this.#deps.audit.record(repositories, {
        action: 'key.rejected',
        actor: SYSTEM,
        target: team ? { kind: 'team', id: team.teamId } : { kind: 'user', id: userId },
        ...(team && { teamId: team.teamId }),
        detail: { keyOf: team ? 'team' : 'user', lastFour },
      })
    })
  }
}

/** @returns the end of the key; undefined when nothing has changed. */
const update = (
  { apiKeys, teamKeys }: Pick<Repositories, 'apiKeys' | 'teamKeys'>,
  { userId, team }: UsedKey,
  rejectedAt: Date | null,
): Promise<string | undefined> =>
  team
    ? teamKeys.updateRejected(team.keyId, rejectedAt)
    : apiKeys.updateRejected(userId, rejectedAt)
