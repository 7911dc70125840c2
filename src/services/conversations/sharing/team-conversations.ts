import type { LockedTeamConversation } from '../../../repositories/conversations/sharing/team-conversations.ts'
import type { InTransaction, Repositories, Transact } from '../../../repositories/index.ts'
import { actorOf } from '../../access/actor.ts'
import { holdSession } from '../../access/authority.ts'
import type { Caller } from '../../access/caller.ts'
import type { AuditDetail, AuditLog, AuditTransaction } from '../../audit/audit-log.ts'
import { type HeldTeam, holdTeam } from '../../teams/team-authority.ts'
import { teamNotFound, teamRoleTooSmall } from '../../teams/team-errors.ts'
import { mayAdmit, mayDecide } from '../../teams/team-roles.ts'
import { conversationBusy, conversationNotFound } from '../conversation-errors.ts'

type Deps = {
  repositories: Pick<Repositories, 'teamConversations' | 'teams'>
  transact: Transact<
    'auditEvents' | 'authority' | 'grants' | 'teamConversations' | 'teamMembers' | 'teams' | 'users'
  >
  audit: Pick<AuditLog, 'recordInAll'>
  answers: {
    tellToStop(answerId: string): Promise<void>
    /** Stops an answer of the conversation's owner, and waits a few seconds for its end. */
    stop(ownerId: string, answerId: string): Promise<void>
  }
}

type Work<T> = (
  repositories: Pick<InTransaction, 'auditEvents' | 'grants' | 'teamConversations'>,
  held: HeldTeam,
  found: LockedTeamConversation,
) => Promise<T>

const PER_PAGE = 50
/** In all longer than a dead process's lease. */
const ATTEMPTS = 4

/**
 * What those who manage a team do about conversations that belong to it: see that they are there, end
 * their shares, and delete them, unread. To read one they need a share like anybody else.
 */
export class TeamConversations {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * A page, the newest first.
   *
   * @param teamId here and below.
   * @param before the last id of the page before; null for the first.
   * @returns `next`: the same for the next page; null when there is none.
   * @throws AppError not_found; forbidden for those who do not manage the team.
   */
  async list(caller: Caller, teamId: string, before: string | null) {
    const { teamConversations, teams } = this.#deps.repositories
    const team = await teams.findOwn({ id: teamId }, caller.userId)
    if (team === undefined) throw teamNotFound()
    if (!mayAdmit(team.role, 'member')) throw teamRoleTooSmall(team.role, 'admin')
    const asked = { teamId, memberId: caller.userId }
    const rows = await teamConversations.list(asked, before, PER_PAGE + 1)
    const conversations = rows.slice(0, PER_PAGE)
    const next = rows.length > PER_PAGE ? (conversations.at(-1)?.id ?? null) : null
    return { team, conversations, next }
  }

  /**
   * Ends all shares and links of one, at once.
   *
   * @throws AppError not_found; forbidden for those who do not manage the team; unauthenticated.
   */
  async endSharing(caller: Caller, teamId: string, id: string): Promise<void> {
    const stopped = await this.#with(caller, { teamId, id }, async (repositories, held, found) => {
      if (!mayAdmit(held.authority, 'member')) throw teamRoleTooSmall(held.authority, 'admin')
      const asked = { teamId, memberId: caller.userId }
      const ended = await repositories.teamConversations.endSharing(asked, found)
      const stopped = await repositories.grants.cancelOfRemoved(id)
      await this.#record(repositories, caller, 'conversation.shares_ended', {
        teamId,
        id,
        ...ended,
      })
      return stopped
    })
    if (stopped !== undefined) await this.#deps.answers.tellToStop(stopped)
  }

  /**
   * Deletes one for ever. An answer that is running in it is stopped and booked.
   *
   * @throws AppError not_found; forbidden for those who do not own the team; conversation_busy when
   *   the answer cannot be stopped; unauthenticated, proof_required.
   */
  async delete(caller: Caller, teamId: string, id: string): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const running = await this.#deleteUnlessRunning(caller, teamId, id)
      if (running === undefined) return
      await this.#deps.answers.stop(running.ownerId, running.answerId)
    }
    throw conversationBusy()
  }

  #deleteUnlessRunning(caller: Caller, teamId: string, id: string) {
    return this.#with(
      caller,
      { teamId, id, mustBeProven: true },
      async (repositories, held, found) => {
        if (!mayDecide(held.authority)) throw teamRoleTooSmall(held.authority, 'owner')
        const { runningMessageId: answerId, ownerId, messages } = found
        if (answerId !== null) return { ownerId, answerId }
        await repositories.teamConversations.delete({ teamId, memberId: caller.userId }, found)
        await this.#record(repositories, caller, 'conversation.deleted', { teamId, id, messages })
        return undefined
      },
    )
  }

  /** In the order of the turns' locks: session, conversation, team. */
  #with<T>(
    caller: Caller,
    { teamId, id, mustBeProven = false }: { teamId: string; id: string; mustBeProven?: boolean },
    work: Work<T>,
  ): Promise<T> {
    return this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['teams:manage'], { mustBeProven })
      const asked = { teamId, memberId: caller.userId }
      const found = await repositories.teamConversations.lock(asked, id)
      const held = await holdTeam(repositories, caller, teamId)
      if (found === undefined) throw conversationNotFound()
      return work(repositories, held, found)
    })
  }

  async #record(
    transaction: AuditTransaction,
    caller: Caller,
    action: string,
    { teamId, id, ...detail }: AuditDetail & { teamId: string; id: string },
  ): Promise<void> {
    const target = { kind: 'conversation', id }
    const event = { action, actor: actorOf(caller), target, detail: { ...detail, byTeam: true } }
    await this.#deps.audit.recordInAll(transaction, event, [teamId])
  }
}
