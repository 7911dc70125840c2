import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema } from '../../database/schema.ts'
import { isOwnedBy } from '../access/conversation-access.ts'
import type { StoredPayment } from './branch-sources.ts'

/** A conversation that begins with messages: a branch, an import, the copy of a shared one. */
export type WholeConversation = {
  id: string
  userId: string
  /** The session that makes it. */
  sessionId: string | null
  dataKey: Buffer
  /** Sealed. */
  title: Buffer
  titleBy: 'user' | 'gateway' | 'import' | null
  /** Sealed. */
  systemPrompt: Buffer | null
  model: string
  /** Position of the first message that goes to Claude, and the whole messages before it. */
  historyStart?: number
  historyOmitted?: number
  /** `byLink`: its owner may not know from which conversation. */
  branched?: { from: string; atPosition: number; byLink?: boolean } | null
  imported?: { source: string; ref: Buffer }
  /** Null: each sender pays. */
  payment?: StoredPayment | null
  /** False: in no list until an answer is delivered in it; without one it is deleted in a day. */
  isListed?: boolean
  createdAt?: Date
  updatedAt?: Date
}

/** A message of an ended turn. A turn is an odd position and the even one after it. */
export type WholeMessage = {
  id: string
  position: number
  role: 'user' | 'assistant'
  status: Exclude<MessageStatus, 'running'>
  /** Sealed for this conversation and id; null when there is none. */
  content: Buffer | null
  stopSequence?: Buffer | null
  model: string
  tokenCount: number
  createdAt: Date
  finishedAt: Date | null
  /** Who wrote it, if that was not the owner. */
  senderId?: string | null
  errorCode?: string | null
  imported?: boolean
}

/** `through`: the last position, also when the messages at the end are missing. */
export type WholeMessages = AsyncIterable<readonly WholeMessage[]>

type Written = { messages: number }

/** Parameters of a statement are limited to 65,535. */
const ROWS_AT_ONCE = 500

/** The only writer of whole conversations. Every turn that is sent is written by start-turns.ts. */
export class ConversationWriterRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Writes a conversation with all its messages, batch by batch as they come. Call it in a
   * transaction, after the session was held: it locks the user's storage before it adds rows, in
   * the order of the turns.
   *
   * @param messages by position. They may leave out whole turns, and end before `through`.
   * @param through the conversation's last position, even when its message is left out.
   * @param limitBytes of the user's storage; null: no limit.
   * @returns undefined when the storage is full: roll the transaction back.
   * @throws the database's error when the same import is there already.
   */
  async write(
    conversation: WholeConversation,
    messages: WholeMessages,
    { through = 0, limitBytes }: { through?: number; limitBytes: number | null },
  ): Promise<Written | undefined> {
    const { userId, id } = conversation
    await this.#lockStorage(userId)
    await this.#insert(conversation)
    let [written, last] = [0, through]
    for await (const batch of messages) {
      for (let start = 0; start < batch.length; start += ROWS_AT_ONCE) {
        await this.#insertMessages(conversation, batch.slice(start, start + ROWS_AT_ONCE))
      }
      written += batch.length
      last = Math.max(last, batch.at(-1)?.position ?? 0)
      if (await this.#isFull(userId, limitBytes)) return undefined
    }
    if (await this.#isFull(userId, limitBytes)) return undefined
    await this.#db
      .updateTable('conversations')
      .set({ messageCount: last, messagesDeleted: last - written })
      .where('id', '=', id)
      .execute()
    return { messages: written }
  }

  /** Deletes one that is in no list, unless a turn has begun in it. */
  async discard(id: string, userId: string): Promise<void> {
    await sql`
      delete from conversations c
      using (values (${userId}::uuid)) as asked (owner)
      where c.id = ${id}::uuid and ${sql.raw(isOwnedBy('c', 'asked.owner'))}
        and not c.is_listed and c.message_count = coalesce(c.branched_at_position, 0)`.execute(
      this.#db,
    )
  }

  async #lockStorage(userId: string): Promise<void> {
    await this.#db
      .insertInto('storage')
      .values({ userId })
      .onConflict((conflict) => conflict.column('userId').doNothing())
      .execute()
    await this.#db
      .selectFrom('storage')
      .select('userId')
      .where('userId', '=', userId)
      .forUpdate()
      .execute()
  }

  async #isFull(userId: string, limitBytes: number | null): Promise<boolean> {
    if (limitBytes === null) return false
    const { bytes } = await this.#db
      .selectFrom('storage')
      .select('bytes')
      .where('userId', '=', userId)
      .executeTakeFirstOrThrow()
    return Number(bytes) > limitBytes
  }

  async #insert(whole: WholeConversation): Promise<void> {
    const { branched, imported, payment, isListed = true, ...row } = whole
    const { id, userId } = row
    await this.#db
      .insertInto('conversations')
      .values({
        ...row,
        isListed,
        branchedFrom: branched?.from ?? null,
        branchedAtPosition: branched?.atPosition ?? null,
        branchedByLink: branched?.byLink ?? false,
        importSource: imported?.source ?? null,
        importRef: imported?.ref ?? null,
        ...payment,
      })
      .execute()
    if (isListed) return
    // Without a turn of this id, it only has the conversation looked at in a day.
    await this.#db
      .insertInto('forgottenTurns')
      .values({ answerId: id, conversationId: id, userId })
      .execute()
  }

  async #insertMessages(
    { id: conversationId, userId }: WholeConversation,
    messages: readonly WholeMessage[],
  ): Promise<void> {
    if (messages.length === 0) return
    const rows = messages.map((message) => ({ ...message, conversationId, userId }))
    await this.#db.insertInto('messages').values(rows).execute()
  }
}
