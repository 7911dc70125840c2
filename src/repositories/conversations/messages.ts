import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema } from '../../database/schema.ts'
import { accessibleConversation } from '../access/conversation-access.ts'

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
  /** Username of the user who sent the message or asked for the answer; null: a former user. */
  sender: string | null
  /** Of the key that paid for the answer; null also for a viewer, who may not know it. */
  keyLastFour: string | null
  /** Name of the team that paid; null: the sender did. */
  payingTeam: string | null
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
        created_at, finished_at, token_count, model, error_code, is_older,
        case when reader_role <> 'viewer' then key_last_four end as key_last_four,
        (select t.name from teams t where t.id = page.paying_team_id) as paying_team,
        (
          select u.username from users u where u.id = coalesce(page.sender_id, page.user_id)
        ) as sender
      from (
        select *, row_number() over newest_first > ${limit}
          or row_number() over newest_first > 1
            and sum(coalesce(octet_length(content), 0) + ${BYTES_BESIDE_TEXT}) over newest_first
              > ${maxBytes} as is_older
        from (
          select m.*, c.role as reader_role
          from (values (${conversationId}::uuid, ${userId}::uuid)) as asked (id, reader)
          join ${READABLE} as c on true
          cross join lateral (
            select * from messages
            where conversation_id = c.id and position >= c.from_position
              and position < ${beforePosition}
            order by position desc
            limit ${limit + 1}
          ) as m
        ) as newest
        window newest_first as (order by position desc)
      ) as page
      order by position`.execute(this.#db)
    const messages = rows.flatMap(({ isOlder, ...message }) => (isOlder ? [] : [message]))
    return { messages, hasOlder: messages.length < rows.length }
  }

  /** The position of a message of this conversation that the user may read, without its text. */
  async findPosition(
    id: string,
    conversationId: string,
    userId: string,
  ): Promise<number | undefined> {
    const { rows } = await sql<{ position: number }>`
      select m.position
      from (values (${conversationId}::uuid, ${userId}::uuid)) as asked (id, reader)
      join ${READABLE} as c on true
      join messages m on m.conversation_id = c.id and m.position >= c.from_position
      where m.id = ${id}::uuid`.execute(this.#db)
    return rows[0]?.position
  }
}

const READABLE = sql.raw(accessibleConversation('asked.id', 'asked.reader'))
