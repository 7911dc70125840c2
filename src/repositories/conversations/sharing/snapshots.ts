import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema } from '../../../database/schema.ts'
import {
  accessibleConversation,
  isLinkInForce,
  linkedConversation,
} from '../../access/conversation-access.ts'
import {
  type ConversationRef,
  refColumns,
  toConversationRef,
} from '../../access/conversation-ref.ts'
import { isLive, isReached, type Reach } from '../../access/reach.ts'
import { isTurnKept } from '../message-pages.ts'

/** A visitor of a link. `sessionId`: null when they are not signed in. */
export type LinkVisit = {
  tokenHash: Buffer
  sessionId: string | null
  /** Whether the operator allows links that need no session. */
  isPublicAllowed: boolean
}

/** What the owner would show: the turns that have ended; up to a position, if one is given. */
export type OwnSnapshot = { conversationId: string; reach: Reach; through: number | null }

/** As a link shows it, or as its owner sees it before making one. */
export type SnapshotSource = LinkVisit | OwnSnapshot

export type Snapshot = {
  ref: ConversationRef
  /** Null before a link is made. */
  linkId: string | null
  /** The last message that is shown. */
  throughPosition: number
  model: string
}

/** A message of an ended turn. `content` is sealed. Whose it is, and when it was sent, is not read. */
export type SnapshotMessage = {
  id: string
  position: number
  role: 'user' | 'assistant'
  status: Exclude<MessageStatus, 'running'>
  content: Buffer | null
  model: string
}

export type SnapshotRange = { after: number; limit: number; maxBytes: number }

/** Reads conversations as links show them. Every statement checks that the link still works. */
export class SnapshotRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Undefined for a link that does not work for the visitor, or a conversation of another owner. */
  async find(source: SnapshotSource): Promise<Snapshot | undefined> {
    const { rows } = await sql<SnapshotRow>`
      select c.id, ${sql.raw(refColumns('c'))}, c.link_id, c.through_position, c.model
      from ${shown(source)}`.execute(this.#db)
    const [row] = rows
    if (row === undefined) return undefined
    const { linkId, throughPosition, model } = row
    return { ref: toConversationRef(row), linkId, throughPosition, model }
  }

  /**
   * The messages after a position, in order, without turns of which no text is kept: at most `limit`,
   * and as many as fit into `maxBytes`. A larger message comes alone.
   */
  async page(
    source: SnapshotSource,
    { after, limit, maxBytes }: SnapshotRange,
  ): Promise<{ messages: SnapshotMessage[]; hasMore: boolean }> {
    const { rows } = await sql<SnapshotMessage & { isLater: boolean }>`
      select id, position, role, status, case when not is_later then content end as content, model,
        is_later
      from (
        select *, row_number() over in_order > ${limit} or row_number() over in_order > 1
          and sum(coalesce(octet_length(content), 0)) over in_order > ${maxBytes} as is_later
        from (
          select m.*
          from ${shown(source)}
          join messages m on m.conversation_id = c.id
          where m.position > ${after} and m.position <= c.through_position
            and m.status <> 'running' and ${isTurnKept}
          order by m.position
          limit ${limit + 1}
        ) as next
        window in_order as (order by position)
      ) as page
      order by position`.execute(this.#db)
    const messages = rows.flatMap(({ isLater, ...message }) => (isLater ? [] : [message]))
    return { messages, hasMore: messages.length < rows.length }
  }

  /**
   * Notes that a crawler opened the link, if everybody who has it may read by it.
   *
   * @returns the conversation, the first time of a day (UTC); undefined later.
   */
  async noteCrawl(linkId: string): Promise<{ conversationId: string } | undefined> {
    const { rows } = await sql<{ conversationId: string }>`
      update conversation_links l set crawled_on = (now() at time zone 'UTC')::date
      where l.id = ${linkId}::uuid and l.audience = 'public' and ${sql.raw(isLinkInForce('l'))}
        and l.crawled_on is distinct from (now() at time zone 'UTC')::date
      returning l.conversation_id`.execute(this.#db)
    return rows[0]
  }

  /** Counts a visit, by the day: neither address nor browser is kept. */
  async countView(linkId: string): Promise<void> {
    await sql`
      update conversation_links l
      set views = views + 1, last_viewed_on = (now() at time zone 'UTC')::date
      where l.id = ${linkId}::uuid and ${sql.raw(isLinkInForce('l'))}`.execute(this.#db)
  }
}

type SnapshotRow = Omit<Snapshot, 'ref'> & { id: string; sealedFor: string; dataKey: Buffer }

/** For a `from`: `c`, the conversation, with `link_id` and `through_position`. */
const shown = (source: SnapshotSource) =>
  'tokenHash' in source
    ? sql`
  (values (${source.tokenHash}::bytea, ${source.sessionId}::uuid, ${source.isPublicAllowed}::boolean))
    as asked (token_hash, session_id, is_public)
  join ${sql.raw(linkedConversation('asked.token_hash', 'asked.session_id', 'asked.is_public'))}
    as c on true`
    : sql`
  (values (${source.conversationId}::uuid, ${source.reach.userId}::uuid,
    ${source.reach.sessionId}::uuid, ${source.reach.readsAll}::boolean, ${source.through}::integer))
    as asked (id, reader, session_id, reads_all, through)
  join sessions s on s.id = asked.session_id and s.user_id = asked.reader
    and ${sql.raw(isLive('s'))}
  join lateral (
    select own.*, null::uuid as link_id, least(asked.through,
      own.message_count - case when own.running_message_id is null then 0 else 2 end)
      as through_position
    from ${sql.raw(accessibleConversation('asked.id', 'asked.reader'))} as own
    where own.role = 'owner'
  ) as c on ${sql.raw(isReached('c', 's', 'asked.reads_all'))}`
