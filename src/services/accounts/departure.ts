/** What a user who deletes their account leaves to others, and what they take back. */

import { estimateTokens } from '../../claude/prices/tokens.ts'
import { mapInSlices } from '../../concurrency/slices.ts'
import { AppError } from '../../errors.ts'
import type {
  ForeignMessage,
  TeamConversation,
  Withdrawal,
} from '../../repositories/accounts/departures.ts'
import type { InTransaction, Repositories } from '../../repositories/index.ts'
import type { AuditActor } from '../audit/audit-actor.ts'
import type { AuditLog, AuditTransaction } from '../audit/audit-log.ts'
import type { Vault } from '../keys/vault.ts'

type Deps = {
  repositories: Pick<Repositories, 'departures'>
  audit: Pick<AuditLog, 'record'>
  vault: Vault
}

/** What deleting the account would do to conversations that others take part in. */
export type Foreseen = {
  /** Messages of the user's in conversations of others: they stay, without a name. */
  messagesElsewhere: number
  /** Own conversations that pass to a member of the team that they belong to. */
  handedOver: number
  /** Own conversations that belong to a team, and are deleted. */
  deletedOfTeams: number
}

export type Departed = {
  messagesLeft: number
  messagesWithdrawn: number
  handedOver: TeamConversation[]
  teams: Awaited<ReturnType<InTransaction['departures']['listTeams']>>
}

type Writing = Pick<InTransaction, 'departures' | 'ownership'>

const WITHDRAWN = '(withdrawn)'
const MESSAGES_AT_ONCE = 500
const BEFORE_ALL = '00000000-0000-0000-0000-000000000000'
/** Of reading the heirs again, now that they are locked. */
const ATTEMPTS = 5

export class Departure {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  async foresee(userId: string): Promise<Foreseen> {
    const { departures } = this.#deps.repositories
    const conversations = await departures.listOfTeams(userId)
    const handedOver = conversations.filter(isInherited).length
    return {
      messagesElsewhere: await departures.countForeignMessages(userId),
      handedOver,
      deletedOfTeams: conversations.length - handedOver,
    }
  }

  /**
   * Part of the deletion's transaction, before the user's row is deleted and once none of their answers
   * is running: hands over what teams keep, and replaces the texts of the user's messages in
   * conversations of others if they want that. What they wrote in a conversation that a team keeps stays.
   */
  async leave(repositories: Writing, userId: string, isWithdrawing: boolean): Promise<Departed> {
    const { departures } = repositories
    const messages = await departures.countForeignMessages(userId)
    const messagesWithdrawn = isWithdrawing ? await this.#withdraw(repositories, userId) : 0
    const teams = await departures.listTeams(userId)
    const handedOver = (await lockedOfTeams(repositories, userId)).filter(isInherited)
    if (handedOver.length > 0) await repositories.ownership.handOver(userId, handedOver)
    return { messagesLeft: messages - messagesWithdrawn, messagesWithdrawn, handedOver, teams }
  }

  /** In the teams' chains, in the order of their locks: call it after the event of the deletion. */
  async record(
    transaction: AuditTransaction,
    userId: string,
    actor: AuditActor,
    { handedOver, teams }: Departed,
  ): Promise<void> {
    for (const { teamId, role } of teams) {
      for (const { id, heirId } of handedOver.filter((one) => one.teamId === teamId)) {
        await this.#deps.audit.record(transaction, {
          action: 'conversation.transferred',
          actor,
          target: { kind: 'conversation', id },
          teamId,
          detail: { from: userId, to: heirId },
        })
      }
      await this.#deps.audit.record(transaction, {
        action: 'member.left',
        actor,
        target: { kind: 'user', id: userId },
        teamId,
        detail: { role, accountDeleted: true },
      })
    }
  }

  async #withdraw({ departures }: Pick<Writing, 'departures'>, userId: string): Promise<number> {
    await departures.clearStopSequences(userId)
    let withdrawn = 0
    for (let after = BEFORE_ALL; ; ) {
      const page = await departures.listForeignMessages(userId, after, MESSAGES_AT_ONCE)
      const last = page.at(-1)
      if (last === undefined) return withdrawn
      await departures.withdraw(await mapInSlices(page, () => 0, this.#withdrawal))
      withdrawn += page.length
      after = last.id
    }
  }

  #withdrawal = ({ id, ref }: ForeignMessage): Withdrawal => {
    const vault = this.#deps.vault.openConversation(ref)
    const content = vault.sealContent(id, [{ type: 'text', text: WITHDRAWN }])
    return { id, conversationId: ref.id, content, tokenCount: estimateTokens(WITHDRAWN) }
  }
}

const isInherited = (
  conversation: TeamConversation,
): conversation is TeamConversation & { heirId: string } => conversation.heirId !== null

/** An heir may have left, or lost their share, while their lock was waited for. */
async function lockedOfTeams({ departures }: Pick<Writing, 'departures'>, userId: string) {
  await departures.lockOfTeams(userId)
  let found = await departures.listOfTeams(userId)
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    await departures.lockClaims(found)
    const locked = await departures.listOfTeams(userId)
    if (isSame(found, locked)) return locked
    found = locked
  }
  throw new AppError(
    'conversation_busy',
    'The members of a team are changing. Nothing is deleted yet: try again.',
    { retryAfterSeconds: 1 },
  )
}

const isSame = (one: readonly TeamConversation[], other: readonly TeamConversation[]) =>
  JSON.stringify(one) === JSON.stringify(other)
