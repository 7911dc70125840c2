/**
 * SQL of pages of messages, for readers of whole conversations from beginning to end: what one
 * reader holds at a time is bounded in messages and in bytes.
 */

import { type RawBuilder, sql } from 'kysely'

/** Limits of one page; the first one reached applies. A single message may be larger. */
const MESSAGES = 500
const BYTES = 1024 * 1024

/**
 * For a `from`: as many of the rows as fit into a page, the first one in any case; without an order.
 *
 * @param rows a `select` of rows of messages, without an order.
 */
export const pageOf = (rows: RawBuilder<unknown>): RawBuilder<unknown> => sql`
  (
    select *
    from (
      select *, sum(octet_length(content)) over (order by position) as bytes_so_far
      from (${rows} order by position limit ${MESSAGES}) as next
    ) as measured
    where coalesce(bytes_so_far, 0) - coalesce(octet_length(content), 0) < ${BYTES}
  )`

/** Of `m`, a message of conversation `c`: whether the question of its turn is kept. */
export const isTurnKept = sql.raw(`
  exists (
    select from messages question
    where question.conversation_id = c.id and question.content is not null
      and question.position = m.position - case m.role when 'user' then 0 else 1 end
  )`)
