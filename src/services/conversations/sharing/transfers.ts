/** Conversations that their owners give to another user for good. */

import { newId } from '../../../crypto/random.ts'
import { AppError } from '../../../errors.ts'
import type { NewGrant } from '../../../repositories/conversations/sharing/grants.ts'
import type { LockedClaim } from '../../../repositories/conversations/sharing/ownership.ts'
import type { InTransaction, Transact } from '../../../repositories/index.ts'
import { actorOf } from '../../access/actor.ts'
import { holdSession, reachOf } from '../../access/authority.ts'
import type { Caller } from '../../access/caller.ts'
import type { AuditLog } from '../../audit/audit-log.ts'
import { conversationBusy } from '../conversation-errors.ts'
import { MAX_WITH_EVERYBODY } from './recipient-limit.ts'
import { shareNotFound } from './share-errors.ts'

type Deps = {
  transact: Transact<'auditEvents' | 'authority' | 'grants' | 'ownership' | 'storage'>
  audit: Pick<AuditLog, 'recordInAll'>
  /** Per user; null: no limit. */
  maxStoredBytes: number | null
}

type Writing = Pick<InTransaction, 'grants' | 'storage'>

export class Transfers {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Makes the recipient of a share the owner of its conversation. Only a contributor can become that: they
   * have agreed to take part, so that no user owns text which they never accepted. The caller stays as a
   * contributor. Other shares go on, as do links with sign-in; public links end, since it was the caller
   * who answered for them.
   *
   * @throws AppError not_found unless the caller gave this share to a person; share_refused when that
   *   person cannot own it; conversation_busy while Claude answers in it; unauthenticated,
   *   insufficient_scope.
   */
  async transfer(caller: Caller, shareId: string): Promise<{ conversationId: string }> {
    return this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['conversations:share'])
      const { grants, ownership } = repositories
      const claim = await ownership.lockClaim(shareId, reachOf(caller))
      if (claim === undefined) throw shareNotFound()
      refuseUnlessHeir(claim)
      if (claim.runningMessageId !== null) throw conversationBusy()
      const { conversationId, heirId } = claim
      await ownership.keepMark(conversationId, caller.userId)
      await ownership.handOver(caller.userId, [{ id: conversationId, heirId }])
      await grants.put(contributing(caller.userId, claim))
      await this.#refuseTooMuch(repositories, claim)
      const event = {
        action: 'conversation.transferred',
        actor: actorOf(caller),
        target: { kind: 'conversation', id: conversationId },
        detail: { from: caller.userId, to: heirId },
      }
      await this.#deps.audit.recordInAll(repositories, event, [claim.teamId])
      return { conversationId }
    })
  }

  /** Limits of what one user may have hold for what they are given, too. */
  async #refuseTooMuch({ grants, storage }: Writing, { heirId, username }: LockedClaim) {
    const { maxStoredBytes } = this.#deps
    if (maxStoredBytes !== null && (await storage.bytes(heirId)) > maxStoredBytes) {
      throw refused(`${username} has no room for this conversation.`)
    }
    if ((await grants.countWithEverybody(heirId)) > MAX_WITH_EVERYBODY) {
      throw refused(
        `${username} shares ${MAX_WITH_EVERYBODY} conversations with everybody already, the most one may. End that share first.`,
      )
    }
  }
}

/** What the new owner gives to the former one. */
const contributing = (userId: string, { conversationId, heirId }: LockedClaim): NewGrant => ({
  id: newId(),
  conversationId,
  userId,
  teamId: null,
  role: 'contributor',
  grantedBy: heirId,
  isAccepted: true,
  expiresAt: null,
  fromPosition: 1,
})

function refuseUnlessHeir({ isContributor, isInTeam, team }: LockedClaim): void {
  if (!isContributor) {
    throw refused(
      'Only a person who has accepted to be a contributor can become the owner. Share it with them as a contributor first.',
    )
  }
  if (!isInTeam) {
    throw refused(`This conversation belongs to the team ${team}, and they are not in that team.`)
  }
}

const refused = (why: string) => new AppError('share_refused', why)
