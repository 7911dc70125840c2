import type { HeavyReads } from '../../concurrency/heavy-reads.ts'
import { mapInSlices } from '../../concurrency/slices.ts'
import { AppError } from '../../errors.ts'
import type { ConversationRef } from '../../repositories/access/conversation-ref.ts'
import {
  askedPage,
  type ConversationCursor,
  type ConversationFilter,
  type ListedRow,
} from '../../repositories/conversations/conversation-lists.ts'
import type { ReadableConversation } from '../../repositories/conversations/conversations.ts'
import type {
  HistoryRead,
  ListedMessage,
  ReadPage,
} from '../../repositories/conversations/messages.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { Caller } from '../access/caller.ts'
import type { AnnouncedRead } from '../access/read-ahead.ts'
import { toPaidBy } from '../billing/paid-by.ts'
import { textOf, type Vault } from '../keys/vault.ts'
import { teamNotFound } from '../teams/team-errors.ts'
import { teamRef } from '../teams/team-name.ts'
import { conversationNotFound, notInConversation } from './conversation-errors.ts'
import { cutText, MOST_TEXT_BYTES } from './cut-text.ts'

type Deps = {
  repositories: Pick<Repositories, 'conversationLists' | 'conversations' | 'messages' | 'teams'>
  vault: Vault
  heavyReads: HeavyReads
}

export { CONVERSATION_FILTERS } from '../../repositories/conversations/conversation-lists.ts'

export type ConversationPage = {
  /** Left out: the user's own. */
  filter?: ConversationFilter
  /** Name or id of a team of the user's: those that belong to it. */
  team?: string | undefined
  limit: number
  offset: number
  cursor?: string | undefined
}
/** A conversation as its list shows it. */
export type ListedConversation = Omit<ListedRow, 'ref' | 'title'> & { title: string }

export type HistoryPage = {
  limit?: number | undefined
  before?: string | undefined
  /** Ends with the turn of this message; instead of `before`. */
  through?: string | undefined
  /** Reads one message, from this offset on. */
  from?: { messageId: string; offset: number } | undefined
}

/**
 * The default page size: clients hand at most 25,000 tokens of a result to their model. A caller
 * that passes `limit` gets as many messages as one result may hold.
 */
const UNASKED_PAGE_BYTES = 64 * 1024
const MOST_MESSAGES = 1000

/** One row more than the page has tells whether there is another page. */
const rangeOf = ({ limit, offset }: ConversationPage, after: ConversationCursor | undefined) => ({
  limit: limit + 1,
  offset,
  ...(after === undefined ? {} : { after }),
})

/** What `list` reads; undefined where that is more than one statement's work. */
export function readsList(page: ConversationPage): AnnouncedRead<'ownList'> | undefined {
  const { filter = 'mine', team, cursor } = page
  const after = cursor === undefined ? undefined : decodeCursor(cursor)
  const isPlain = filter === 'mine' && team === undefined
  if (!isPlain || (cursor !== undefined && after === undefined)) return undefined
  return { name: 'ownList', asked: askedPage(rangeOf(page, after)) }
}

/** What `history` reads of the newest page; undefined for others. */
export function readsHistory(
  conversationId: string,
  { limit, before, through, from }: HistoryPage,
): AnnouncedRead<'history'> | undefined {
  if (before !== undefined || through !== undefined || from !== undefined) return undefined
  const asked = { conversationId, limit: limit ?? MOST_MESSAGES, maxBytes: UNASKED_PAGE_BYTES }
  return { name: 'history', asked }
}

/** The page as wanted; undefined where more of it has to be read. */
function pageIn(ahead: HistoryRead | undefined, { limit }: HistoryPage): ReadPage | undefined {
  if (!ahead?.conversation || !ahead.page) return undefined
  return limit !== undefined && ahead.page.isCut ? undefined : ahead.page
}

const bytesOf = ({ limit }: HistoryPage) =>
  limit === undefined ? UNASKED_PAGE_BYTES : MOST_TEXT_BYTES

/** Reads the conversations that a user has access to. */
export class ConversationService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * One page, newest activity first, and how many the filter finds in all.
   *
   * `nextCursor` leads to the next page, equally fast at any depth; null on the last page.
   *
   * @throws AppError invalid_input for a malformed cursor; not_found for the team.
   */
  async list(caller: Caller, page: ConversationPage) {
    const { limit } = page
    const ahead = caller.readAhead?.take(readsList(page))
    const { rows, total } = ahead ?? (await this.#list(caller, page))
    const shown = rows.slice(0, limit)
    const last = shown.at(-1)
    return {
      conversations: shown.map((row) => this.#opened(row)),
      total,
      nextCursor: rows.length > limit && last ? encodeCursor(last) : null,
    }
  }

  async #list({ userId }: Caller, page: ConversationPage) {
    const { filter = 'mine', cursor, team } = page
    const teamId = team === undefined ? null : await this.#teamId(userId, team)
    const after = cursor === undefined ? undefined : decodeCursor(cursor)
    if (cursor !== undefined && after === undefined) throw malformedCursor()
    const { conversationLists } = this.#deps.repositories
    return conversationLists.list(userId, filter, { ...rangeOf(page, after), teamId })
  }

  async #teamId(userId: string, team: string): Promise<string> {
    const found = await this.#deps.repositories.teams.findOwn(teamRef(team), userId)
    if (found === undefined) throw teamNotFound()
    return found.id
  }

  /**
   * Messages of one conversation, oldest first: the newest that fit into one result, at most
   * `limit`, before the message `before`; or, with `from`, that one message. A text that is longer
   * than a result is cut, and `nextOffset` is where the rest begins.
   *
   * Pass `nextBefore` as `before` for the older page; it is null when this page begins the
   * conversation. `hasOlder` is set on the oldest message of a page that was cut by its size in
   * bytes, not by `limit`.
   *
   * @throws AppError not_found, also for another user's conversation; rate_limited,
   *   overloaded.
   */
  async history(caller: Caller, conversationId: string, wanted: HistoryPage) {
    const { userId } = caller
    const { conversations } = this.#deps.repositories
    const ahead = caller.readAhead?.take(readsHistory(conversationId, wanted))
    const conversation = ahead
      ? ahead.conversation
      : await conversations.find(conversationId, userId)
    if (!conversation) throw conversationNotFound()
    const page = await this.#page(userId, conversation, wanted, pageIn(ahead, wanted))
    const [oldest] = page.messages
    const isMore = page.hasOlder && wanted.from === undefined
    const isCut = isMore && page.messages.length < (wanted.limit ?? Number.POSITIVE_INFINITY)
    return {
      messages: page.messages.map(({ keyLastFour, payingTeam, ...row }) => ({
        ...row,
        paidBy: toPaidBy({ keyLastFour, payingTeam }),
        hasOlder: isCut && row.id === oldest?.id,
      })),
      total: conversation.messageCount,
      nextBefore: isMore && oldest ? oldest.id : null,
    }
  }

  #opened<Row extends ListedRow>({ ref, title, ...row }: Row) {
    return { title: this.#deps.vault.openConversation(ref).openTitle(title), ...row }
  }

  /** @param known the page, where it has been read. */
  async #page(
    userId: string,
    { ref }: ReadableConversation,
    wanted: HistoryPage,
    known: ReadPage | undefined,
  ) {
    if (known) return this.#openPage(ref, known, wanted)
    return this.#deps.heavyReads.run(userId, async () =>
      this.#openPage(ref, await this.#readPage(userId, ref, wanted), wanted),
    )
  }

  async #readPage(userId: string, { id }: ConversationRef, wanted: HistoryPage) {
    const { limit, from } = wanted
    const beforePosition = await this.#endOf(userId, id, wanted)
    return this.#deps.repositories.messages.page(id, userId, {
      limit: from ? 1 : (limit ?? MOST_MESSAGES),
      beforePosition,
      maxBytes: bytesOf(wanted),
    })
  }

  async #openPage(ref: ConversationRef, page: ReadPage, wanted: HistoryPage) {
    const { from } = wanted
    const maxBytes = bytesOf(wanted)
    const vault = this.#deps.vault.openConversation(ref)
    const lengthOf = ({ content }: ListedMessage) => content?.length ?? 0
    const opened = await mapInSlices(page.messages, lengthOf, ({ content, ...row }) => {
      const text = content === null ? '' : textOf(vault.openContent(row.id, content))
      const cut = cutText(text, from?.offset ?? 0, maxBytes)
      return { ...row, content: cut.text, nextOffset: cut.nextOffset }
    })
    return { messages: opened, hasOlder: page.hasOlder }
  }

  /** The position after the last message of a page; undefined: the newest is its last. */
  async #endOf(userId: string, conversationId: string, { before, through, from }: HistoryPage) {
    const positionOf = async (messageId: string, field: 'before' | 'message_id') => {
      const { messages } = this.#deps.repositories
      const position = await messages.findPosition(messageId, conversationId, userId)
      if (position === undefined) throw notInConversation(field)
      return position
    }
    if (from) return (await positionOf(from.messageId, 'message_id')) + 1
    if (before) return positionOf(before, 'before')
    if (through === undefined) return undefined
    const position = await positionOf(through, 'message_id')
    // A question has an odd position, and its answer the next one.
    return position + (position % 2) + 1
  }
}

function encodeCursor({ updatedAt, id }: ConversationCursor): string {
  return Buffer.from(`${updatedAt.getTime()}.${id}`).toString('base64url')
}

/** Undefined when it is malformed. */
function decodeCursor(cursor: string): ConversationCursor | undefined {
  const text = Buffer.from(cursor, 'base64url').toString('latin1')
  const match = /^(\d{1,14})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(text)
  return match ? { updatedAt: new Date(Number(match[1])), id: match[2] as string } : undefined
}

const malformedCursor = () =>
  new AppError('invalid_input', 'cursor must be a next_cursor of an earlier page.', {
    onPages: 'This address leads to no page of the list. It begins at /account/conversations.',
    details: { field: 'cursor' },
  })
