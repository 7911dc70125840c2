import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { accessibleConversation, isOwnedBy, isSentBy } from '../access/conversation-access.ts'
import { type ConversationRef, refColumns, toConversationRef } from '../access/conversation-ref.ts'
import { isSharedWith } from './shared-conversations.ts'

/** Whose conversations: the reader's own, or those that are shared with them. */
export type Searched = 'mine' | 'shared'

/** Moments as PostgreSQL's text, which has microseconds; `to` is the first one after the range. */
export type SearchRange = { userId: string; from: string; to: string }

/** Only what is after this one, newest first. */
export type SearchPlace = { at: string; id: string }

/** A conversation as searched; `title` is sealed. */
export type SearchedTitle = {
  id: string
  ref: ConversationRef
  title: Buffer
  /** Whether another user is its owner. */
  isOthers: boolean
  /** Its last activity. */
  at: string
  createdAt: Date
}

/** A whole message as searched, with its conversation; `content` and `title` are sealed. */
export type SearchedMessage = {
  id: string
  position: number
  role: 'user' | 'assistant'
  content: Buffer
  at: string
  createdAt: Date
  /** Whether another user wrote it, or asked for the answer. */
  isOthers: boolean
  conversation: Pick<SearchedTitle, 'id' | 'ref' | 'title' | 'isOthers'>
  /** False: of a conversation that is in no list. */
  isListed: boolean
}

/** Limits of one page, which takes the event loop a few milliseconds. A larger message comes alone. */
const PAGE_ROWS = 200
const PAGE_BYTES = 512 * 1024

/**
 * What a search looks through, page by page. Each page checks the access again, and is empty only
 * when there are no more.
 */
export class SearchRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Conversations by their last activity. */
  async titles(searched: Searched, { userId, from, to }: SearchRange, after: SearchPlace) {
    const { rows } = await sql<TitleRow>`
      select c.id, ${REF}, c.title, c.updated_at::text as at, c.created_at,
        ${searched === 'shared'}::boolean as is_others
      from (values (${userId}::uuid)) as asked (reader)
      join conversations c on ${READABLE[searched]} and c.is_listed
      where c.updated_at >= ${from}::timestamptz and c.created_at < ${to}::timestamptz
        and (c.updated_at, c.id) < (${after.at}::timestamptz, ${after.id}::uuid)
      order by c.updated_at desc, c.id desc
      limit ${PAGE_ROWS}`.execute(this.#db)
    return rows.map(toTitle)
  }

  /** The user's own conversations' messages, newest first. */
  async ownMessages({ userId, from, to }: SearchRange, after: SearchPlace) {
    return this.#messages(
      sql`newest.created_at desc, newest.id desc`,
      sql`
      select ${COLUMNS}
      from (values (${userId}::uuid)) as asked (reader)
      join messages m on ${sql.raw(isOwnedBy('m', 'asked.reader'))}
      join conversations c on c.id = m.conversation_id
      where m.status = 'complete' and m.content is not null
        and m.created_at >= ${from}::timestamptz and m.created_at < ${to}::timestamptz
        and (m.created_at, m.id) < (${after.at}::timestamptz, ${after.id}::uuid)
      order by m.created_at desc, m.id desc
      limit ${PAGE_ROWS}`,
    )
  }

  /** The messages of one conversation that the user may read, newest first. */
  async messagesOf(id: string, { userId, from, to }: SearchRange, beforePosition: number) {
    return this.#messages(
      sql`newest.position desc`,
      sql`
      select ${COLUMNS}
      from (values (${id}::uuid, ${userId}::uuid)) as asked (id, reader)
      join ${sql.raw(accessibleConversation('asked.id', 'asked.reader'))} as c on true
      join messages m on m.conversation_id = c.id and m.position >= c.from_position
      where m.status = 'complete' and m.content is not null
        and m.created_at >= ${from}::timestamptz and m.created_at < ${to}::timestamptz
        and m.position < ${beforePosition}
      order by m.position desc
      limit ${PAGE_ROWS}`,
    )
  }

  async #messages(order: RawBuilder<unknown>, newest: RawBuilder<unknown>) {
    const { rows } = await sql<MessageRow>`
      select *
      from (
        select *, sum(octet_length(content)) over (order by ${order}) - octet_length(content)
          as bytes_before
        from (${newest}) as newest
      ) as newest
      where bytes_before < ${PAGE_BYTES}
      order by ${order}`.execute(this.#db)
    return rows.map(toMessage)
  }
}

type Sealed = { sealedFor: string; dataKey: Buffer }
type TitleRow = Omit<SearchedTitle, 'ref'> & Sealed
type MessageRow = Omit<SearchedMessage, 'conversation'> &
  Sealed & { conversationId: string; title: Buffer; isConversationOthers: boolean }

const REF = sql.raw(refColumns('c'))

const READABLE: Record<Searched, RawBuilder<unknown>> = {
  mine: sql.raw(isOwnedBy('c', 'asked.reader')),
  shared: sql.raw(isSharedWith('c', 'asked.reader')),
}

/** Of the message `m` in the conversation `c`. */
const COLUMNS = sql.raw(`
  m.id, m.position, m.role, m.content, m.created_at::text as at, m.created_at,
  not ${isSentBy('m', 'asked.reader')} as is_others,
  c.id as conversation_id, ${refColumns('c')}, c.title, c.is_listed,
  not (${isOwnedBy('c', 'asked.reader')}) as is_conversation_others`)

const toTitle = ({ sealedFor, dataKey, ...row }: TitleRow): SearchedTitle => ({
  ...row,
  ref: toConversationRef({ id: row.id, sealedFor, dataKey }),
})

function toMessage(row: MessageRow): SearchedMessage {
  const { conversationId: id, sealedFor, dataKey, title, isConversationOthers, ...message } = row
  const ref = toConversationRef({ id, sealedFor, dataKey })
  return { ...message, conversation: { id, ref, title, isOthers: isConversationOthers } }
}
