/** What a link shows: the text of a conversation up to a message, and nothing else of it. */

import type { HeavyReads } from '../../../concurrency/heavy-reads.ts'
import { mapInSlices } from '../../../concurrency/slices.ts'
import type {
  LinkVisit,
  SnapshotMessage,
  SnapshotSource,
} from '../../../repositories/conversations/sharing/snapshots.ts'
import type { Repositories, Transact } from '../../../repositories/index.ts'
import { type KeyLikeText, keyLikeTexts } from '../../../text/key-like-text.ts'
import { reachOf } from '../../access/authority.ts'
import type { Caller } from '../../access/caller.ts'
import { hashOf } from '../../access/sessions.ts'
import { SYSTEM } from '../../audit/audit-actor.ts'
import type { AuditLog } from '../../audit/audit-log.ts'
import { type ConversationVault, textOf, type Vault } from '../../keys/vault.ts'
import { conversationNotFound } from '../conversation-errors.ts'
import { cutText, MOST_TEXT_BYTES } from '../cut-text.ts'
import type { LinksMode } from './links.ts'
import { nothingToShow } from './share-errors.ts'

type Deps = {
  repositories: Pick<Repositories, 'snapshots'>
  transact: Transact<'auditEvents' | 'snapshots'>
  audit: Pick<AuditLog, 'record'>
  vault: Vault
  heavyReads: HeavyReads
  mode: LinksMode
}

/** A message as its readers see it. `isCut`: the text is longer than a page. */
export type ShownMessage = Pick<SnapshotMessage, 'position' | 'role' | 'status'> & {
  text: string
  isCut: boolean
}

/** A program that opened a link: its name, and the network that it came from. */
export type Crawler = { name: string; network: string }

export type SnapshotPage = {
  throughPosition: number
  messages: ShownMessage[]
  /** Pass it as `after` for the next page; null on the last one. */
  nextAfter: number | null
}

/** Something in a message that looks like a key. */
export type FoundKey = KeyLikeText & { position: number; role: ShownMessage['role'] }

const PAGE_MESSAGES = 50
/** The last position there can be. */
const MOST_POSITION = 2_147_483_647
const MOST_KEYS_SHOWN = 100
/** Without a cut. */
const WHOLE = Number.POSITIVE_INFINITY
/** Visitors without an account wait for one another, and users never for them. */
const STRANGERS = 'visitors of links'

type Visit = {
  after?: number | undefined
  isCounted: boolean
  crawler?: Crawler | undefined
}

type Opened = { source: SnapshotSource; throughPosition: number; vault: ConversationVault }

export class Snapshots {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * A page for a visitor of a link, oldest message first; undefined when the link does not work for
   * them, without a reason: a stranger learns nothing of it.
   *
   * @param visitor null when they are not signed in.
   * @param isCounted whether the owner's list counts it as a view.
   * @param crawler who asks, if that is a known one: for a public link, the audit log has the first of a
   *   day.
   * @throws AppError rate_limited, overloaded.
   */
  async visit(
    secret: string,
    visitor: Caller | null,
    { after = 0, isCounted, crawler }: Visit,
  ): Promise<SnapshotPage | undefined> {
    const source = this.visitOf(secret, visitor)
    const found = await this.#open(source)
    if (found === undefined) return undefined
    const reader = visitor?.userId ?? STRANGERS
    const page = await this.#page(reader, found, after)
    if (isCounted && found.linkId) await this.#deps.repositories.snapshots.countView(found.linkId)
    if (crawler && found.linkId) await this.#noteCrawl(found.linkId, crawler)
    return page
  }

  /**
   * The same page as the owner sees it before making a link, and what looks like a key anywhere in
   * the whole text: the first hundred.
   *
   * @param through the last message; undefined: of the turns that have ended.
   * @throws AppError not_found, also for another's conversation; invalid_input when there is no text
   *   yet; rate_limited, overloaded.
   */
  async preview(
    caller: Caller,
    conversationId: string,
    { after = 0, through }: { after?: number | undefined; through?: number | undefined },
  ): Promise<SnapshotPage & { keys: FoundKey[] }> {
    const reach = reachOf(caller)
    const source = { conversationId, reach, through: through ?? null }
    const found = await this.#open(source)
    if (found === undefined) throw conversationNotFound()
    if (found.throughPosition < 2) throw nothingToShow()
    const fixed = { ...found, source: { ...source, through: found.throughPosition } }
    const keys = await this.#keys(caller, fixed)
    return { ...(await this.#page(caller.userId, fixed, after)), keys }
  }

  /** Who visits which link, as the statements that read for them check it. */
  visitOf(secret: string, visitor: Pick<Caller, 'sessionId'> | null): LinkVisit {
    const isPublicAllowed = this.#deps.mode === 'public'
    return { tokenHash: hashOf(secret), sessionId: visitor?.sessionId ?? null, isPublicAllowed }
  }

  async #noteCrawl(linkId: string, { name, network }: Crawler): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      const noted = await repositories.snapshots.noteCrawl(linkId)
      if (noted === undefined) return
      await this.#deps.audit.record(repositories, {
        action: 'link.crawled',
        actor: { ...SYSTEM, kind: 'user', addressPrefix: network },
        target: { kind: 'link', id: linkId },
        detail: { conversationId: noted.conversationId, crawler: name },
      })
    })
  }

  async #open(source: SnapshotSource) {
    const found = await this.#deps.repositories.snapshots.find(source)
    if (found === undefined) return undefined
    const { ref, linkId, throughPosition } = found
    const vault = this.#deps.vault.openConversation(ref)
    return { source, linkId, throughPosition, vault }
  }

  async #page(reader: string, opened: Opened, after: number): Promise<SnapshotPage> {
    const { messages, hasMore } = await this.#texts(reader, opened, after)
    const last = messages.at(-1)
    return {
      throughPosition: opened.throughPosition,
      messages,
      nextAfter: hasMore && last ? last.position : null,
    }
  }

  async #keys(caller: Caller, opened: Opened): Promise<FoundKey[]> {
    const found: FoundKey[] = []
    for (let after = 0; found.length < MOST_KEYS_SHOWN; ) {
      const { messages, hasMore } = await this.#texts(caller.userId, opened, after, WHOLE)
      for (const { position, role, text } of messages) {
        found.push(...keyLikeTexts(text).map((key) => ({ ...key, position, role })))
      }
      const last = messages.at(-1)
      if (last === undefined || !hasMore) break
      after = last.position
    }
    return found.slice(0, MOST_KEYS_SHOWN)
  }

  #texts(
    reader: string,
    { source, vault }: Opened,
    after: number,
    maxBytes = MOST_TEXT_BYTES,
  ): Promise<{ messages: ShownMessage[]; hasMore: boolean }> {
    const { snapshots } = this.#deps.repositories
    const range = {
      after: Math.min(after, MOST_POSITION),
      limit: PAGE_MESSAGES,
      maxBytes: MOST_TEXT_BYTES,
    }
    return this.#deps.heavyReads.run(reader, async () => {
      const page = await snapshots.page(source, range)
      const bytesOf = ({ content }: SnapshotMessage) => content?.length ?? 0
      const messages = await mapInSlices(page.messages, bytesOf, (message) =>
        shownMessage(message, vault, maxBytes),
      )
      return { messages, hasMore: page.hasMore }
    })
  }
}

function shownMessage(
  { id, position, role, status, content }: SnapshotMessage,
  vault: ConversationVault,
  maxBytes: number,
): ShownMessage {
  const whole = content === null ? '' : textOf(vault.openContent(id, content))
  const { text, nextOffset } = cutText(whole, 0, maxBytes)
  return { position, role, status, text, isCut: nextOffset !== null }
}
