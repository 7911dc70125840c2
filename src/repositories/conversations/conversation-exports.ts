import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema } from '../../database/schema.ts'
import { accessibleConversation, isSentBy } from '../access/conversation-access.ts'
import { isTurnKept, pageOf } from './message-pages.ts'

/** A message of a turn that has ended; `content` is sealed. */
export type EndedMessage = {
  id: string
  position: number
  role: 'user' | 'assistant'
  status: Exclude<MessageStatus, 'running'>
  content: Buffer | null
  model: string
  createdAt: Date
  finishedAt: Date | null
  /** Whether the reader sent it, or asked for the answer. */
  isReaders: boolean
  /** Username of its sender; null: a former user. */
  sender: string | null
}

/** Reads conversations for files. */
export class ConversationExportRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * The messages after a position that the user may read, in order. Leaves out turns that are
   * running, and those of which no text is kept; is empty only when there are no more.
   */
  async page(id: string, userId: string, after: number): Promise<EndedMessage[]> {
    const { rows } = await sql<EndedMessage>`
      select id, position, role, status, content, model, created_at, finished_at,
        is_readers,
        (
          select u.username from users u where u.id = coalesce(page.sender_id, page.user_id)
        ) as sender
      from ${pageOf(sql`
        select m.*, ${IS_READERS} as is_readers
        from (values (${id}::uuid, ${userId}::uuid)) as asked (id, reader)
        join ${sql.raw(accessibleConversation('asked.id', 'asked.reader'))} as c on true
        join messages m on m.conversation_id = c.id and m.position >= c.from_position
        where m.position > ${after} and m.status <> 'running' and ${isTurnKept}`)} as page
      order by position`.execute(this.#db)
    return rows
  }
}

const IS_READERS = sql.raw(isSentBy('m', 'asked.reader'))
