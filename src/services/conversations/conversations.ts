import type { HeavyReads } from '../../concurrency/heavy-reads.ts'
import { mapInSlices } from '../../concurrency/slices.ts'
import { AppError } from '../../errors.ts'
import type { ConversationCursor } from '../../repositories/conversations/conversations.ts'
import type { ListedMessage } from '../../repositories/conversations/messages.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { Caller } from '../access/caller.ts'
import { textOf, type Vault } from '../keys/vault.ts'
import { cutText, MOST_TEXT_BYTES } from './cut-text.ts'

type Deps = {
  repositories: Pick<Repositories, 'conversations' | 'messages'>
  vault: Vault
  heavyReads: HeavyReads
}

export type ConversationPage = { limit: number; offset: number; cursor?: string | undefined }
export type HistoryPage = {
  limit?: number | undefined
  before?: string | undefined
  /** Reads one message, from this offset on. */
  from?: { messageId: string; offset: number } | undefined
}

/**
 * The default page size: clients hand at most 25,000 tokens of a result to their model. A caller
 * that passes `limit` gets as many messages as one result may hold.
 */
const UNASKED_PAGE_BYTES = 64 * 1024
const MOST_MESSAGES = 1000

/** Reads a user's own conversations. */
export class ConversationService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * One page, newest activity first.
   *
   * `nextCursor` leads to the next page, equally fast at any depth; null on the last page.
   *
   * @throws AppError invalid_input for a malformed cursor.
   */
  async list(caller: Caller, { limit, offset, cursor }: ConversationPage) {
    const after = cursor === undefined ? undefined : decodeCursor(cursor)
    const { userId } = caller
    const { rows, total } = await this.#deps.repositories.conversations.list(userId, {
      limit: limit + 1,
      offset,
      ...(after === undefined ? {} : { after }),
    })
    const page = rows.slice(0, limit)
    const last = page.at(-1)
    return {
      conversations: page.map(({ dataKey, title, ...row }) => ({
        ...row,
        title: this.#deps.vault.openConversation({ id: row.id, userId, dataKey }).openTitle(title),
      })),
      total,
      nextCursor: rows.length > limit && last ? encodeCursor(last) : null,
    }
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
  async history({ userId }: Caller, conversationId: string, wanted: HistoryPage) {
    const conversation = await this.#deps.repositories.conversations.get(conversationId, userId)
    const page = await this.#deps.heavyReads.run(userId, () => this.#page(conversation, wanted))
    const [oldest] = page.messages
    const isMore = page.hasOlder && wanted.from === undefined
    const isCut = isMore && page.messages.length < (wanted.limit ?? Number.POSITIVE_INFINITY)
    return {
      messages: page.messages.map((row) => ({ ...row, hasOlder: isCut && row === oldest })),
      total: conversation.messageCount,
      nextBefore: isMore && oldest ? oldest.id : null,
    }
  }

  async #page(conversation: OpenableConversation, { limit, before, from }: HistoryPage) {
    const { id, userId } = conversation
    const { messages } = this.#deps.repositories
    const maxBytes = limit === undefined ? UNASKED_PAGE_BYTES : MOST_TEXT_BYTES
    const positionOf = (messageId: string, field: 'before' | 'message_id') =>
      messages.getPosition(messageId, id, userId, field)
    const beforePosition = from
      ? (await positionOf(from.messageId, 'message_id')) + 1
      : before && (await positionOf(before, 'before'))
    const page = await messages.page(id, userId, {
      limit: from ? 1 : (limit ?? MOST_MESSAGES),
      beforePosition: beforePosition || undefined,
      maxBytes,
    })
    const vault = this.#deps.vault.openConversation(conversation)
    const bytesOf = ({ content }: ListedMessage) => content?.length ?? 0
    const opened = await mapInSlices(page.messages, bytesOf, ({ content, ...row }) => {
      const text = content === null ? '' : textOf(vault.openContent(row.id, content))
      const cut = cutText(text, from?.offset ?? 0, maxBytes)
      return { ...row, content: cut.text, nextOffset: cut.nextOffset }
    })
    return { messages: opened, hasOlder: page.hasOlder }
  }
}

type OpenableConversation = Awaited<ReturnType<Repositories['conversations']['get']>>

function encodeCursor({ updatedAt, id }: ConversationCursor): string {
  return Buffer.from(`${updatedAt.getTime()}.${id}`).toString('base64url')
}

function decodeCursor(cursor: string): ConversationCursor {
  const text = Buffer.from(cursor, 'base64url').toString('latin1')
  const match = /^(\d{1,14})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(text)
  if (!match) {
    throw new AppError('invalid_input', 'cursor must be a next_cursor of an earlier page.', {
      details: { field: 'cursor' },
    })
  }
  return { updatedAt: new Date(Number(match[1])), id: match[2] as string }
}
