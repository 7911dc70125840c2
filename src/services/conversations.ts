import { AppError } from '../errors.ts'
import type { ConversationCursor } from '../repositories/conversations.ts'
import type { Repositories } from '../repositories/index.ts'
import type { Caller } from './sessions.ts'
import { textOf, type Vault } from './vault.ts'

type Deps = {
  repositories: Pick<Repositories, 'conversations' | 'messages'>
  vault: Vault
}

export type ConversationPage = { limit: number; offset: number; cursor?: string | undefined }
export type HistoryPage = { limit?: number | undefined; before?: string | undefined }

/** Reading what was said: a user's own conversations and nobody else's. */
export class ConversationService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * One page, newest activity first.
   *
   * `nextCursor` leads to the page after it, at any depth equally quickly; null on the last page.
   *
   * @throws AppError invalid_input for a cursor that is not one of ours.
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
   * Messages of one conversation, oldest first: all of them, or the newest `limit` before the
   * message `before`.
   *
   * `nextBefore` is what to pass as `before` for the older page; null when this one begins the
   * conversation.
   *
   * @throws AppError not_found, also when the conversation is somebody else's.
   */
  async history(caller: Caller, conversationId: string, { limit, before }: HistoryPage) {
    const { conversations, messages } = this.#deps.repositories
    const conversation = await conversations.get(conversationId, caller.userId)
    const beforePosition =
      before === undefined
        ? undefined
        : await messages.getPosition(before, conversationId, caller.userId)
    const rows = await messages.list(conversationId, caller.userId, { limit, beforePosition })
    const vault = this.#deps.vault.openConversation(conversation)
    const first = rows[0]
    return {
      messages: rows.map(({ content, ...row }) => ({
        ...row,
        content: content === null ? '' : textOf(vault.openContent(row.id, content)),
      })),
      total: conversation.messageCount,
      nextBefore: first !== undefined && first.position > 1 ? first.id : null,
    }
  }
}

function encodeCursor({ updatedAt, id }: ConversationCursor): string {
  return Buffer.from(`${updatedAt.getTime()}.${id}`).toString('base64url')
}

function decodeCursor(cursor: string): ConversationCursor {
  const text = Buffer.from(cursor, 'base64url').toString('latin1')
  const match = /^(\d{1,14})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(text)
  if (!match) {
    throw new AppError('invalid_input', 'cursor: must be a next_cursor of an earlier page.', {
      details: { field: 'cursor' },
    })
  }
  return { updatedAt: new Date(Number(match[1])), id: match[2] as string }
}
