import { newId } from '../../../crypto/random.ts'
import { AppError } from '../../../errors.ts'
import type { ConversationRole } from '../../../repositories/access/conversation-access.ts'
import type {
  EndedGrant,
  GrantRole,
  GrantTerms,
  ListedGrant,
} from '../../../repositories/conversations/sharing/grants.ts'
import type { SharesFrom } from '../../../repositories/conversations/sharing/recipients.ts'
import type { InTransaction, Repositories, Transact } from '../../../repositories/index.ts'
import { actorOf } from '../../access/actor.ts'
import { holdSession, reachOf } from '../../access/authority.ts'
import type { Caller } from '../../access/caller.ts'
import { wrongField } from '../../access/field-rules.ts'
import type { AuditDetail, AuditLog, AuditTransaction } from '../../audit/audit-log.ts'
import type { Vault } from '../../keys/vault.ts'
import { teamRef } from '../../teams/team-name.ts'
import { conversationNotFound, notInConversation } from '../conversation-errors.ts'
import { roleTooSmall } from '../roles.ts'
import { endLinks } from './links.ts'
import { countRecipient, MAX_WITH_EVERYBODY } from './recipient-limit.ts'
import {
  notOwnersShares,
  recipientIsSelf,
  recipientNotFound,
  shareNotFound,
  shareOfMany,
} from './share-errors.ts'

type Deps = {
  repositories: Pick<
    Repositories,
    'conversations' | 'grants' | 'messages' | 'rateLimits' | 'recipients'
  >
  transact: Transact<'auditEvents' | 'authority' | 'grants' | 'links' | 'recipients' | 'teams'>
  audit: Pick<AuditLog, 'record' | 'recordInAll'>
  vault: Vault
  /** Tells the process that generates an answer to stop it. */
  answers: { tellToStop(answerId: string): Promise<void> }
}

/** `username`: exact, or the exact address. `team`: its name or id. */
export type ShareRecipient = { username: string } | { team: string } | 'everybody'

export type ShareRequest = {
  conversationId: string
  with: ShareRecipient
  role: GrantRole
  /** Undefined: until it is revoked. */
  expiresInDays?: number | undefined
  /** The first message that may be read; undefined: all of them. */
  fromMessageId?: string | undefined
}

/** `recipient` and `team`: both null for everybody. `title`: null while it is not accepted. */
export type ListedShare = Omit<ListedGrant, 'ref' | 'title'> & {
  title: string | null
  state: 'active' | 'pending' | 'expired'
}

export type NewShare = {
  id: string
  /** Username; null like `team`: everybody. */
  recipient: string | null
  /** Name of the team. */
  team: string | null
  role: GrantRole
  /** Without effect until the recipient accepts it. */
  isPending: boolean
  expiresAt: Date | null
  /** What the recipient was given before; null for nothing else than now. */
  replaced: GrantTerms | null
}

const MAX_GRANTS = 200
export const MAX_SHARE_DAYS = 3650
/** Offers that a person has not answered. */
const MAX_PENDING = 20
const DAY_MS = 86_400_000

/** Gives other users access to conversations, and takes it from them. */
export class Sharing {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Gives access, or changes what was given to the same recipient before. A person has to accept it
   * on the pages first; all members of a team have it at once, as long as they are in it. Less than
   * before takes effect at once, also for an answer that is running.
   *
   * @throws AppError not_found, for the conversation or the recipient, whether there is no such
   *   user or they accept no shares; forbidden unless the caller owns it; share_refused when there
   *   are too many already; rate_limited; invalid_input; unauthenticated, insufficient_scope.
   */
  async share(caller: Caller, request: ShareRequest): Promise<NewShare> {
    const fromPosition = await this.#fromPosition(caller, request)
    const expiresAt = expiryOf(request.expiresInDays)
    if (request.with !== 'everybody') await countRecipient(this.#deps.repositories, caller.userId)
    const { share, stopped } = await this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['conversations:share'])
      const { grants } = repositories
      const { teamId } = await lockOwn(repositories, caller, request.conversationId)
      const recipient = await findRecipient(repositories, caller, request.with)
      const terms = { role: request.role, expiresAt, fromPosition }
      const { conversationId } = request
      const before = await grants.findTerms(conversationId, caller.userId, recipient.key)
      if (before === undefined) {
        await refuseTooMany(repositories, caller.userId, conversationId, recipient.key)
      }
      const put = await grants.put({
        id: newId(),
        conversationId,
        ...recipient.key,
        ...terms,
        grantedBy: caller.userId,
        isAccepted: recipient.key.userId === null,
      })
      const stopped = await grants.cancelOfRemoved(conversationId)
      const detail = {
        conversationId,
        recipientId: recipient.key.userId,
        teamId: recipient.key.teamId,
        role: request.role,
        accepted: put.isAccepted,
      }
      const teamIds = [recipient.key.teamId, teamId]
      await this.#record(repositories, caller, 'grant.created', put.id, { detail, teamIds })
      const share: NewShare = {
        id: put.id,
        recipient: recipient.username,
        team: recipient.team,
        role: request.role,
        isPending: !put.isAccepted,
        expiresAt,
        replaced: before && !isSame(before, terms) ? before : null,
      }
      return { share, stopped }
    })
    if (stopped !== undefined) await this.#deps.answers.tellToStop(stopped)
    return share
  }

  /**
   * What the caller gave and was given, newest first; of one conversation if it is named.
   *
   * @throws AppError not_found when the caller has no access to that.
   */
  async list(caller: Caller, conversationId: string | null) {
    const { conversations, grants } = this.#deps.repositories
    if (conversationId !== null) {
      const found = await conversations.find(conversationId, caller.userId)
      if (found === undefined) throw conversationNotFound()
    }
    const reach = reachOf(caller)
    const given = await grants.listGiven(reach, conversationId)
    const received = await grants.listReceived(reach, conversationId)
    return { given: given.map(this.#opened), received: received.map(this.#opened) }
  }

  /** @throws AppError not_found; unauthenticated. */
  async accept(caller: Caller, shareId: string): Promise<{ conversationId: string }> {
    return this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['conversations:read'])
      const conversationId = await repositories.grants.accept(shareId, caller.userId)
      if (conversationId === undefined) throw shareNotFound()
      const detail = { conversationId }
      await this.#record(repositories, caller, 'grant.accepted', shareId, { detail, teamIds: [] })
      return { conversationId }
    })
  }

  /**
   * Ends one that the caller gave or was given, or a link of theirs. The recipient loses access with
   * their very next call; an answer that they wait for is stopped, and what it cost until then is
   * booked.
   *
   * @throws AppError not_found; forbidden for one that others were given too; unauthenticated,
   *   insufficient_scope.
   */
  async end(caller: Caller, shareId: string): Promise<void> {
    const stopped = await this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['conversations:share'])
      const ended = await repositories.grants.end(shareId, reachOf(caller))
      if (ended === undefined) return this.#endOther(repositories, caller, shareId)
      const { conversationId, teamIds } = ended
      const stopped = await repositories.grants.cancelOfRemoved(conversationId)
      const detail = { conversationId }
      await this.#record(repositories, caller, 'grant.revoked', shareId, { detail, teamIds })
      return stopped
    })
    if (stopped !== undefined) await this.#deps.answers.tellToStop(stopped)
  }

  /**
   * Ends all of one conversation, links too. @returns how many.
   *
   * @throws AppError not_found; forbidden unless the caller owns it; unauthenticated,
   *   insufficient_scope.
   */
  async endAll(caller: Caller, conversationId: string): Promise<number> {
    const { ended, stopped } = await this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['conversations:share'])
      await lockOwn(repositories, caller, conversationId, notOwnersShares)
      const grants = await repositories.grants.endAll(conversationId, caller.userId)
      const stopped = await repositories.grants.cancelOfRemoved(conversationId)
      if (grants.length > 0)
        await this.#recordAllEnded(repositories, caller, conversationId, grants)
      const links = await endLinks(this.#deps.audit, repositories, caller, { conversationId })
      return { ended: grants.length + links, stopped }
    })
    if (stopped !== undefined) await this.#deps.answers.tellToStop(stopped)
    return ended
  }

  async sharesFrom(caller: Caller): Promise<SharesFrom> {
    return this.#deps.repositories.recipients.getSharesFrom(caller.userId)
  }

  /** Who may offer the caller conversations from now on. */
  async setSharesFrom(caller: Caller, sharesFrom: SharesFrom): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['account'])
      await repositories.recipients.putSharesFrom(caller.userId, sharesFrom)
    })
  }

  async #endOther(
    transaction: Pick<InTransaction, 'auditEvents' | 'grants' | 'links'>,
    caller: Caller,
    id: string,
  ): Promise<undefined> {
    if ((await endLinks(this.#deps.audit, transaction, caller, { id })) > 0) return
    const conversationId = await transaction.grants.findShared(id, reachOf(caller))
    throw conversationId === undefined ? shareNotFound() : shareOfMany(conversationId)
  }

  async #record(
    transaction: AuditTransaction,
    caller: Caller,
    action: string,
    id: string,
    { detail, teamIds }: { detail: AuditDetail; teamIds: readonly (string | null)[] },
  ): Promise<void> {
    const event = { action, actor: actorOf(caller), target: { kind: 'grant', id }, detail }
    await this.#deps.audit.recordInAll(transaction, event, teamIds)
  }

  async #recordAllEnded(
    transaction: AuditTransaction,
    caller: Caller,
    conversationId: string,
    grants: readonly EndedGrant[],
  ): Promise<void> {
    const event = {
      action: 'grant.revoked',
      actor: actorOf(caller),
      target: { kind: 'conversation', id: conversationId },
      detail: { grants: grants.length },
    }
    const teamIds = grants.flatMap((grant) => grant.teamIds)
    await this.#deps.audit.recordInAll(transaction, event, teamIds)
  }

  #opened = ({ ref, title, ...row }: ListedGrant): ListedShare => ({
    ...row,
    title: title === null ? null : this.#deps.vault.openConversation(ref).openTitle(title),
    state: row.isExpired ? 'expired' : row.acceptedAt === null ? 'pending' : 'active',
  })

  /** A contributor sends the whole history, and so may read it. */
  async #fromPosition(caller: Caller, { conversationId, role, fromMessageId }: ShareRequest) {
    if (fromMessageId === undefined) return 1
    if (role === 'contributor') {
      throw wrongField('from_message_id', 'is for viewers: a contributor sends the whole history')
    }
    const { messages } = this.#deps.repositories
    const position = await messages.findPosition(fromMessageId, conversationId, caller.userId)
    if (position === undefined) throw notInConversation('from_message_id')
    return position
  }
}

async function lockOwn(
  { grants }: Pick<InTransaction, 'grants'>,
  caller: Caller,
  conversationId: string,
  notOwner = (role: ConversationRole) => roleTooSmall(role, 'owner'),
) {
  const found = await grants.lockConversation(conversationId, reachOf(caller))
  if (found === undefined) throw conversationNotFound()
  if (found.role !== 'owner') throw notOwner(found.role)
  return found
}

type Recipient = {
  /** Both null: everybody. */
  key: { userId: string | null; teamId: string | null }
  username: string | null
  team: string | null
}

const EVERYBODY: Recipient = {
  key: { userId: null, teamId: null },
  username: null,
  team: null,
}

/** Unknown recipients and those who accept nothing get the same error. */
async function findRecipient(
  repositories: Pick<InTransaction, 'recipients' | 'teams'>,
  caller: Caller,
  wanted: ShareRecipient,
): Promise<Recipient> {
  if (wanted === 'everybody') return EVERYBODY
  if ('team' in wanted) return findTeam(repositories, caller, wanted.team)
  const found = await repositories.recipients.find(
    wanted.username.trim().toLowerCase(),
    caller.userId,
  )
  if (found?.id === caller.userId) throw recipientIsSelf()
  const { sharesFrom } = found ?? {}
  const accepts = sharesFrom === 'anyone' || (sharesFrom === 'teammates' && found?.isTeammate)
  if (found === undefined || !accepts || found.pending >= MAX_PENDING) throw recipientNotFound()
  return { key: { userId: found.id, teamId: null }, username: found.username, team: null }
}

async function findTeam(
  { teams }: Pick<InTransaction, 'teams'>,
  { userId }: Caller,
  wanted: string,
): Promise<Recipient> {
  const found = await teams.findRecipient(teamRef(wanted), userId)
  if (found === undefined) throw recipientNotFound()
  return { key: { userId: null, teamId: found.id }, username: null, team: found.name }
}

async function refuseTooMany(
  { grants }: Pick<InTransaction, 'grants'>,
  userId: string,
  conversationId: string,
  to: Recipient['key'],
): Promise<void> {
  if ((await grants.countOf(conversationId, userId)) >= MAX_GRANTS) {
    throw refused(`This conversation is shared ${MAX_GRANTS} times, the most there may be.`)
  }
  if (to.userId !== null || to.teamId !== null) return
  if ((await grants.countWithEverybody(userId)) >= MAX_WITH_EVERYBODY) {
    throw refused(`You share ${MAX_WITH_EVERYBODY} conversations with everybody, the most you may.`)
  }
}

const isSame = (a: GrantTerms, b: GrantTerms): boolean =>
  a.role === b.role &&
  a.fromPosition === b.fromPosition &&
  a.expiresAt?.getTime() === b.expiresAt?.getTime()

function expiryOf(days: number | undefined): Date | null {
  if (days === undefined) return null
  if (!Number.isInteger(days) || days < 1 || days > MAX_SHARE_DAYS) {
    throw wrongField('expires_in_days', `must be 1 to ${MAX_SHARE_DAYS}`)
  }
  return new Date(Date.now() + days * DAY_MS)
}

const refused = (why: string) =>
  new AppError('share_refused', `${why} End one with revoke_share first.`, {
    onPages: `${why} End one at /account/shares first.`,
  })
