/**
 * The history that goes to Claude with a new message, newest first, in pages that are bounded
 * before they are read: lengths of stored values are known without reading them.
 */

import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** A whole message; `content` is sealed. */
export type SendableMessage = { id: string; position: number; role: string; content: Buffer | null }

/** Newest first. `isWhole`: there are no older ones. */
export type SendablePage = { messages: SendableMessage[]; isWhole: boolean }

/** Which of the conversation's messages, from `from` on and before `before`. */
export type SendableRange = { conversationId: string; userId: string; from: number; before: number }

/** Limits of one page; the first one reached applies. A larger message comes alone. */
const PAGE_MESSAGES = 2000
const PAGE_BYTES = 1024 * 1024

export class SendHistoryRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** The newest of the range. */
  async page({ conversationId, userId, from, before }: SendableRange): Promise<SendablePage> {
    const { rows } = await sql<SendableMessage & { isMore: boolean }>`
      select id, position, role, case when not is_more then content end as content, is_more
      from (
        select *, position < first_value(position) over newest_first
          and (row_number() over newest_first > ${PAGE_MESSAGES}
            or sum(coalesce(octet_length(content), 0)) over newest_first > ${PAGE_BYTES}) as is_more
        from (
          select id, position, role, content from messages
          where conversation_id = ${conversationId}::uuid and user_id = ${userId}::uuid
            and status = 'complete' and position >= ${from} and position < ${before}
          order by position desc
          limit ${PAGE_MESSAGES + 1}
        ) as newest
        window newest_first as (order by position desc)
      ) as page
      order by position desc`.execute(this.#db)
    const messages = rows.filter((row) => !row.isMore)
    return { messages, isWhole: messages.length === rows.length }
  }

  async count({ conversationId, userId, from, before }: SendableRange): Promise<number> {
    const { messages } = await this.#db
      .selectFrom('messages')
      .select((select) => select.fn.countAll<string>().as('messages'))
      .where('conversationId', '=', conversationId)
      .where('userId', '=', userId)
      .where('status', '=', 'complete')
      .where('position', '>=', from)
      .where('position', '<', before)
      .executeTakeFirstOrThrow()
    return Number(messages)
  }
}
