import type { Repositories, Transact } from '../../repositories/index.ts'
import { actorOf } from '../access/actor.ts'
import { holdSession, reachOf } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit-log.ts'
import { conversationBusy, conversationNotFound } from './conversation-errors.ts'
import type { ConversationHeads } from './conversation-heads.ts'
import { roleTooSmall } from './roles.ts'

type Deps = {
  repositories: Pick<Repositories, 'conversationHeads' | 'ledger'>
  heads: Pick<ConversationHeads, 'get'>
  transact: Transact<'auditEvents' | 'authority' | 'conversationChanges' | 'conversationHeads'>
  audit: Pick<AuditLog, 'recordInAll'>
  answers: {
    /** Stops an answer of the conversation's owner, and waits a few seconds for its end. */
    stop(ownerId: string, answerId: string): Promise<void>
  }
}

export type DeletedConversation = {
  messages: number
  linksEnded: number
  /** Copies that go on existing, those of other people too. */
  branchesLeft: number
}

/** In all longer than a dead process's lease. */
const ATTEMPTS = 4
const NOTHING: DeletedConversation = { messages: 0, linksEnded: 0, branchesLeft: 0 }

/**
 * Deletes single conversations for ever: their texts go together with the key that opens them, and
 * a backup made before still has both. The ledger stays.
 */
export class ConversationDeletion {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Stops the answer that is running, whose cost is booked, and then deletes everything in one
   * transaction. Deleting it again changes nothing.
   *
   * @throws AppError not_found; forbidden unless the caller is its owner; conversation_busy when
   *   the answer cannot be stopped; unauthenticated, insufficient_scope. Nothing is deleted then.
   */
  async delete(caller: Caller, conversationId: string): Promise<DeletedConversation> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const outcome = await this.#deleteUnlessRunning(caller, conversationId)
      if (outcome === 'gone') return this.#deletedBefore(caller, conversationId)
      if ('messages' in outcome) return outcome
      await this.#deps.answers.stop(caller.userId, outcome.running)
    }
    throw conversationBusy()
  }

  /**
   * What {@link delete} would delete now.
   *
   * @throws AppError not_found; forbidden unless the caller is its owner.
   */
  async foresee(caller: Caller, conversationId: string): Promise<DeletedConversation> {
    const { heads, repositories } = this.#deps
    const { role, messageCount } = await heads.get(caller, conversationId)
    if (role !== 'owner') throw roleTooSmall(role, 'owner')
    const { shares, links, branches } = await repositories.conversationHeads.countDependents(
      conversationId,
      caller.userId,
    )
    return { messages: messageCount, linksEnded: shares + links, branchesLeft: branches }
  }

  async #deletedBefore({ userId }: Caller, id: string): Promise<DeletedConversation> {
    if (await this.#deps.repositories.ledger.knowsDeleted(userId, id)) return NOTHING
    throw conversationNotFound()
  }

  async #deleteUnlessRunning(
    caller: Caller,
    id: string,
  ): Promise<DeletedConversation | { running: string } | 'gone'> {
    return this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['conversations:write'])
      const { conversationChanges, conversationHeads } = repositories
      const found = await conversationChanges.lock(id, reachOf(caller))
      if (found === undefined) return 'gone'
      if (found.role !== 'owner') throw roleTooSmall(found.role, 'owner')
      if (found.runningMessageId !== null) return { running: found.runningMessageId }
      const { shares, links, branches } = await conversationHeads.countDependents(id, found.ownerId)
      await conversationChanges.delete(found)
      const { messageCount: messages } = found
      const event = {
        action: 'conversation.deleted',
        actor: actorOf(caller),
        target: { kind: 'conversation', id },
        detail: { messages, shares, links },
      }
      await this.#deps.audit.recordInAll(repositories, event, [found.teamId])
      return {
        messages,
        linksEnded: shares + links,
        branchesLeft: branches,
      }
    })
  }
}
