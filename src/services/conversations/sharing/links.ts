/** Links to snapshots of conversations, as their owners make, list and end them. */

import { newId, newToken } from '../../../crypto/random.ts'
import { AppError } from '../../../errors.ts'
import type { LinkAudience, ListedLink } from '../../../repositories/conversations/sharing/links.ts'
import type { InTransaction, Repositories, Transact } from '../../../repositories/index.ts'
import { actorOf } from '../../access/actor.ts'
import { holdSession, reachOf } from '../../access/authority.ts'
import type { Caller } from '../../access/caller.ts'
import { wrongField } from '../../access/field-rules.ts'
import { hashOf } from '../../access/sessions.ts'
import type { AuditLog } from '../../audit/audit-log.ts'
import type { Vault } from '../../keys/vault.ts'
import { teamRef } from '../../teams/team-name.ts'
import { conversationNotFound } from '../conversation-errors.ts'
import { roleTooSmall } from '../roles.ts'
import { countRecipient } from './recipient-limit.ts'
import { nothingToShow, recipientNotFound, shareNotFound } from './share-errors.ts'

export type LinksMode = 'off' | 'signed-in' | 'public'

/** Who may open a link: people with an account here, or everybody who has it. */
export type LinkReaders = Exclude<LinksMode, 'off'>

type Deps = {
  repositories: Pick<Repositories, 'conversations' | 'links' | 'rateLimits'>
  transact: Transact<'auditEvents' | 'authority' | 'grants' | 'links' | 'teams'>
  audit: Pick<AuditLog, 'record' | 'recordInAll'>
  vault: Vault
  /** Which links the operator allows. */
  mode: LinksMode
  publicLinkMaxDays: number
  /** Without a trailing slash. */
  publicUrl: string
}

export type LinkRequest = {
  conversationId: string
  readers: LinkReaders
  /** Name or id of a team: for its members alone, as long as they are in it. */
  team?: string | undefined
  expiresInDays?: number | undefined
  /** For its owner's list. */
  label?: string | undefined
  /** The last message that it shows; undefined: the last one of the turns that have ended. */
  through?: number | undefined
}

export type MadeLink = {
  id: string
  /** With the secret, which is not stored. */
  url: string
  readers: LinkReaders
  isForTeam: boolean
  throughPosition: number
  expiresAt: Date
}

export type ShownLink = Omit<ListedLink, 'ref' | 'label' | 'title' | 'audience'> & {
  title: string
  label: string | null
  readers: LinkReaders
}

const AUDIENCES: Record<LinkReaders, LinkAudience> = { 'signed-in': 'everybody', public: 'public' }
const READERS: Record<LinkAudience, LinkReaders> = {
  team: 'signed-in',
  everybody: 'signed-in',
  public: 'public',
}

/** Of one conversation. */
const MAX_LINKS = 50
const USUAL_LINK_DAYS = 30
const MAX_LINK_DAYS = 365
export const MAX_LABEL_LENGTH = 100

export const SHARED_PATH = '/shared'

export class Links {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  get mode(): LinksMode {
    return this.#deps.mode
  }

  /** @param readers whose links. */
  maxDays(readers: LinkReaders): number {
    return readers === 'public' ? this.#deps.publicLinkMaxDays : MAX_LINK_DAYS
  }

  /** Where the owner makes a public one, in a browser. */
  publicLinkPage(conversationId: string): string {
    return `${this.#deps.publicUrl}/account/links/public?conversation=${conversationId}`
  }

  /**
   * Makes a link that shows the conversation as it is now, for 30 days unless told otherwise. Its
   * secret has 256 random bits, and only its SHA-256 is stored. A public one is made by a browser
   * session whose user has just given the password, and by nothing else.
   *
   * @throws AppError not_found, also for a team; forbidden unless the caller owns it; share_refused when the operator
   *   allows no such link, when a public one is not made on its page, and when there are 50;
   *   invalid_input; proof_required; unauthenticated, insufficient_scope.
   */
  async make(caller: Caller, request: LinkRequest): Promise<MadeLink> {
    const { conversationId, readers } = request
    this.#refuseMode(readers)
    const isPublic = readers === 'public'
    if (isPublic && caller.kind !== 'browser') throw this.#onPageOnly(conversationId)
    const days = this.#daysOf(request)
    if (request.team !== undefined) await countRecipient(this.#deps.repositories, caller.userId)
    const secret = newToken('share')
    return this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['conversations:share'], { mustBeProven: isPublic })
      const own = await lockOwn(repositories, caller, request)
      const { ref, throughPosition } = own
      const teamId = await findTeam(repositories, caller, request)
      await refuseTooMany(repositories, caller, conversationId)
      const label = request.label ?? ''
      const vault = this.#deps.vault.openConversation(ref)
      const id = newId()
      const expiresAt = await repositories.links.insert({
        id,
        tokenHash: hashOf(secret),
        conversationId,
        audience: teamId === null ? AUDIENCES[readers] : 'team',
        teamId,
        throughPosition,
        label: label === '' ? null : vault.sealLinkLabel(id, label),
        createdBy: caller.userId,
        days,
      })
      const event = {
        action: isPublic ? 'link.public_created' : 'link.created',
        actor: actorOf(caller),
        target: { kind: 'link', id },
        detail: { conversationId, throughPosition, days, teamId },
      }
      await this.#deps.audit.recordInAll(repositories, event, [teamId, own.teamId])
      const url = `${this.#deps.publicUrl}${SHARED_PATH}/${secret}`
      return { id, url, readers, isForTeam: teamId !== null, throughPosition, expiresAt }
    })
  }

  /**
   * Those to the caller's own conversations, newest first, without the ones that were ended; of one
   * conversation if it is named.
   *
   * @throws AppError not_found when the caller has no access to that.
   */
  async list(caller: Caller, conversationId?: string): Promise<ShownLink[]> {
    const { conversations, links } = this.#deps.repositories
    if (conversationId !== undefined) {
      const isReadable = await conversations.isReadable(conversationId, caller.userId)
      if (!isReadable) throw conversationNotFound()
    }
    return (await links.list(reachOf(caller), { conversationId })).map(this.#opened)
  }

  /** One that works, and that the caller may change. @throws AppError not_found. */
  async get(caller: Caller, id: string): Promise<ShownLink> {
    const [found] = await this.#deps.repositories.links.list(reachOf(caller), { id })
    if (found === undefined || found.isExpired) throw shareNotFound()
    return this.#opened(found)
  }

  /**
   * Has a link show the conversation up to a later message, which its readers see from then on.
   *
   * @param through undefined: up to the last turn that has ended.
   * @throws AppError as {@link make}.
   */
  async moveOn(caller: Caller, id: string, through?: number): Promise<void> {
    const { readers, conversationId } = await this.get(caller, id)
    const isPublic = readers === 'public'
    await this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['conversations:share'], { mustBeProven: isPublic })
      const { links } = repositories
      const { throughPosition } = await lockOwn(repositories, caller, { conversationId, through })
      const link = await links.lock(id, reachOf(caller))
      if (link === undefined) throw shareNotFound()
      await links.moveOn(link, caller.userId, throughPosition)
      await this.#deps.audit.record(repositories, {
        action: 'link.moved',
        actor: actorOf(caller),
        target: { kind: 'link', id },
        detail: { conversationId, throughPosition },
      })
    })
  }

  /**
   * Ends all links that the caller has, at once. @returns how many.
   *
   * @throws AppError unauthenticated, insufficient_scope.
   */
  async endAll(caller: Caller): Promise<number> {
    return this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['conversations:share'])
      return endLinks(this.#deps.audit, repositories, caller, 'all')
    })
  }

  #opened = ({ ref, title, label, audience, ...row }: ListedLink): ShownLink => {
    const vault = this.#deps.vault.openConversation(ref)
    return {
      ...row,
      title: vault.openTitle(title),
      label: label === null ? null : vault.openLinkLabel(row.id, label),
      readers: READERS[audience],
    }
  }

  #refuseMode(readers: LinkReaders): void {
    const { mode } = this.#deps
    if (mode === 'off')
      throw refused('The operator of this gateway has links switched off (LINKS).')
    if (readers === 'public' && mode !== 'public') {
      const why =
        'The operator of this gateway allows no public links (LINKS), only ones for people who sign in here'
      throw refused(`${why}: {"link": "signed-in"}.`, { onPages: `${why}.` })
    }
  }

  #onPageOnly(conversationId: string): AppError {
    const url = this.publicLinkPage(conversationId)
    return refused(
      `A public link is made in a browser only, where you see the text that everybody will be able to read. Open ${url} and sign in.`,
      { details: { url } },
    )
  }

  #daysOf({ readers, expiresInDays }: LinkRequest): number {
    const most = this.maxDays(readers)
    const days = expiresInDays ?? Math.min(USUAL_LINK_DAYS, most)
    if (Number.isInteger(days) && days >= 1 && days <= most) return days
    throw wrongField('expires_in_days', `must be 1 to ${most} for this link`)
  }
}

/**
 * Ends links of the caller's: one, those of a conversation, or all. Part of a transaction that holds
 * the session, before its last event.
 *
 * @returns how many work no more.
 */
export async function endLinks(
  audit: Pick<AuditLog, 'recordInAll'>,
  transaction: Pick<InTransaction, 'auditEvents' | 'links'>,
  caller: Caller,
  which: { id: string } | { conversationId: string } | 'all',
): Promise<number> {
  const ended = await transaction.links.revoke(reachOf(caller), which === 'all' ? {} : which)
  if (ended.length === 0) return 0
  const event = {
    action: 'link.revoked',
    actor: actorOf(caller),
    target: targetOf(which, caller),
    detail: { links: ended.length },
  }
  const teamIds = ended.flatMap((link) => link.teamIds)
  await audit.recordInAll(transaction, event, teamIds)
  return ended.length
}

function targetOf(which: Parameters<typeof endLinks>[3], { userId }: Caller) {
  if (which === 'all') return { kind: 'user', id: userId }
  if ('id' in which) return { kind: 'link', id: which.id }
  return { kind: 'conversation', id: which.conversationId }
}

type Wanted = Pick<LinkRequest, 'conversationId' | 'through'>

/** @returns what opens it, the team that it belongs to, and the last message that is to be shown. */
async function lockOwn(
  { grants }: Pick<InTransaction, 'grants'>,
  caller: Caller,
  { conversationId, through }: Wanted,
) {
  const found = await grants.lockConversation(conversationId, reachOf(caller))
  if (found === undefined) throw conversationNotFound()
  if (found.role !== 'owner') throw roleTooSmall(found.role, 'owner')
  const throughPosition = through ?? found.endedThrough
  if (throughPosition < 2) throw nothingToShow()
  if (throughPosition > found.endedThrough || throughPosition % 2 === 1) {
    throw wrongField('through', 'must be the position of an answer that has ended')
  }
  return { ref: found.ref, teamId: found.teamId, throughPosition }
}

async function findTeam(
  { teams }: Pick<InTransaction, 'teams'>,
  { userId }: Caller,
  { readers, team }: LinkRequest,
): Promise<string | null> {
  if (team === undefined) return null
  if (readers === 'public') throw wrongField('with', 'cannot name a team for a public link')
  const found = await teams.findRecipient(teamRef(team), userId)
  if (found === undefined) throw recipientNotFound()
  return found.id
}

async function refuseTooMany(
  { links }: Pick<InTransaction, 'links'>,
  { userId }: Caller,
  conversationId: string,
): Promise<void> {
  const working = await links.clearEnded(conversationId, userId)
  if (working < MAX_LINKS) return
  const why = `This conversation has ${MAX_LINKS} links, the most there may be.`
  throw refused(`${why} End one with revoke_share first.`, {
    onPages: `${why} End one at /account/links first.`,
  })
}

const refused = (why: string, extra?: { onPages?: string; details?: { url: string } }) =>
  new AppError('share_refused', why, extra)
