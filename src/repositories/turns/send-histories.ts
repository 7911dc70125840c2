/**
 * The history that goes to Claude with a new message, newest first, in pages that are bounded
 * before they are read: lengths of stored values are known without reading them.
 */

import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { accessibleConversation } from '../access/conversation-access.ts'

/** A whole message; `content` is sealed. */
export type SendableMessage = { id: string; position: number; role: string; content: Buffer | null }

/** Newest first. `isWhole`: there are no older ones. */
export type SendablePage = { messages: SendableMessage[]; isWhole: boolean }

/** Which of the conversation's messages, from `from` on and before `before`, for which sender. */
export type SendableRange = { conversationId: string; userId: string; from: number; before: number }

/** Whole for owners and contributors; a viewer does not send. */
const SENDABLE = sql.raw(accessibleConversation('asked.id', 'asked.sender'))

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
          select m.*
          from (values (${conversationId}::uuid, ${userId}::uuid)) as asked (id, sender)
          join ${SENDABLE} as c on true
          cross join lateral (
            select id, position, role, content from messages
            where conversation_id = c.id and status = 'complete'
              and position >= greatest(${from}, c.from_position) and position < ${before}
            order by position desc
            limit ${PAGE_MESSAGES + 1}
          ) as m
        ) as newest
        window newest_first as (order by position desc)
      ) as page
      order by position desc`.execute(this.#db)
    const messages = rows.filter((row) => !row.isMore)
    return { messages, isWhole: messages.length === rows.length }
  }

  async count({ conversationId, userId, from, before }: SendableRange): Promise<number> {
    const { rows } = await sql<{ messages: string }>`
      select count(*) as messages
      from (values (${conversationId}::uuid, ${userId}::uuid)) as asked (id, sender)
      join ${SENDABLE} as c on true
      join messages m on m.conversation_id = c.id
      where m.status = 'complete'
        and m.position >= greatest(${from}, c.from_position) and m.position < ${before}`.execute(
      this.#db,
    )
    return Number(rows[0]?.messages)
  }
}
