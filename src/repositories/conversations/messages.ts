import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'

/** `content` is sealed. */
export type ListedMessage = {
  id: string
  position: number
  role: 'user' | 'assistant'
  status: MessageStatus
  content: Buffer | null
  createdAt: Date
  finishedAt: Date | null
  tokenCount: number
  model: string
  errorCode: string | null
}

/** A page of messages. May be shorter than `limit`, but is empty only when there are no more. */
export type MessagePage = { limit: number; beforePosition: number | undefined; maxBytes: number }

/** Added per message, for the other fields of a result. */
const BYTES_BESIDE_TEXT = 256
/** A position after any message. */
const NEWEST = 2_147_483_647

export class MessageRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * The newest that fit into `maxBytes`, oldest first. Lengths are known without reading the texts,
   * and what does not fit is not read. A larger message comes alone.
   */
  async page(
    conversationId: string,
    userId: string,
    { limit, beforePosition = NEWEST, maxBytes }: MessagePage,
  ): Promise<{ messages: ListedMessage[]; hasOlder: boolean }> {
    const { rows } = await sql<ListedMessage & { isOlder: boolean }>`
      select id, position, role, status, case when not is_older then content end as content,
        created_at, finished_at, token_count, model, error_code, is_older
      from (
        select *, row_number() over newest_first > ${limit}
          or row_number() over newest_first > 1
            and sum(coalesce(octet_length(content), 0) + ${BYTES_BESIDE_TEXT}) over newest_first
              > ${maxBytes} as is_older
        from (
          select * from messages
          where conversation_id = ${conversationId}::uuid and user_id = ${userId}::uuid
            and position < ${beforePosition}
          order by position desc
          limit ${limit + 1}
        ) as newest
        window newest_first as (order by position desc)
      ) as page
      order by position`.execute(this.#db)
    const messages = rows.flatMap(({ isOlder, ...message }) => (isOlder ? [] : [message]))
    return { messages, hasOlder: messages.length < rows.length }
  }

  /**
   * The position of a message of this conversation and user, without reading its text.
   *
   * @param field the argument that names it.
   * @throws AppError not_found.
   */
  async getPosition(
    id: string,
    conversationId: string,
    userId: string,
    field: 'before' | 'message_id',
  ): Promise<number> {
    const row = await this.#db
      .selectFrom('messages')
      .select('position')
      .where('id', '=', id)
      .where('conversationId', '=', conversationId)
      .where('userId', '=', userId)
      .executeTakeFirstOrThrow(() => notInConversation(field))
    return row.position
  }
}

const notInConversation = (field: string) =>
  new AppError('not_found', `This conversation has no message with the id in \`${field}\`.`, {
    details: { field },
  })
