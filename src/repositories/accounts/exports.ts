import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema } from '../../database/schema.ts'
import { isOwnedBy } from '../access/conversation-access.ts'
import { type ConversationRef, refColumns, toConversationRef } from '../access/conversation-ref.ts'
import { withCost } from '../billing/ledger.ts'
import { pageOf } from '../conversations/message-pages.ts'

/** A message as stored; `content` is sealed. */
export type ExportedMessage = {
  id: string
  position: number
  role: 'user' | 'assistant'
  status: MessageStatus
  content: Buffer | null
  stopSequence: Buffer | null
  model: string
  tokenCount: number
  createdAt: Date
  finishedAt: Date | null
  errorCode: string | null
  requestId: string | null
  tag: string | null
}

/** A conversation as stored; `title` and `systemPrompt` are sealed. */
export type ExportedConversation = {
  ref: ConversationRef
  id: string
  title: Buffer
  systemPrompt: Buffer | null
  model: string
  isActive: boolean
  createdAt: Date
  updatedAt: Date
}

/** Limits of one page of conversations; the first one reached applies. A single row may be larger. */
const PAGE_CONVERSATIONS = 100
const PAGE_BYTES = 1024 * 1024

const BEFORE_ALL = '00000000-0000-0000-0000-000000000000'

/**
 * All data of one user in keyset pages, as of the first read: `until` is PostgreSQL's text of that
 * instant. A transaction would give the same view, but hold a connection for as long as the reader
 * takes for a large file.
 */
export class ExportRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async getUser(userId: string) {
    return this.#db
      .selectFrom('users')
      .select(['id', 'username', 'email', 'createdAt', sql<string>`now()::text`.as('until')])
      .where('id', '=', userId)
      .executeTakeFirstOrThrow()
  }

  async countMessages(userId: string): Promise<number> {
    const { rows } = await sql<{ messages: string }>`
      select coalesce(sum(c.message_count - c.messages_deleted), 0) as messages
      from (values (${userId}::uuid)) as asked (reader)
      join conversations c on ${isOwn} and c.is_listed`.execute(this.#db)
    return Number(rows[0]?.messages)
  }

  async countLedger(userId: string): Promise<number> {
    const { rows } = await this.#db
      .selectFrom('ledger')
      .select((select) => select.fn.countAll<string>().as('rows'))
      .where('userId', '=', userId)
      .executeTakeFirstOrThrow()
    return Number(rows)
  }

  /** In the order of creation, which no later message changes. */
  async listConversations(userId: string, until: string, afterId: string | undefined) {
    const { rows } = await sql<ExportedRow>`
      select id, ${sql.raw(refColumns('page'))}, title, system_prompt, model, is_active, created_at,
        updated_at
      from (
        select *, sum(kept_bytes(title, system_prompt)) over (order by id) as bytes_so_far
        from (
          select c.*
          from (values (${userId}::uuid)) as asked (reader)
          join conversations c on ${isOwn}
          where c.is_listed and c.id > ${afterId ?? BEFORE_ALL}::uuid
            and c.created_at <= ${upTo(until)}
          order by c.id
          limit ${PAGE_CONVERSATIONS}
        ) as next
      ) as page
      where bytes_so_far - kept_bytes(title, system_prompt) < ${PAGE_BYTES}
      order by id`.execute(this.#db)
    return rows.map(({ sealedFor, dataKey, ...row }): ExportedConversation => {
      return { ...row, ref: toConversationRef({ id: row.id, sealedFor, dataKey }) }
    })
  }

  /**
   * Oldest first. Lengths are known without reading the texts, so a page is bounded in bytes too.
   * An answer that was still running at `until` comes without its text.
   */
  async listMessages(
    conversation: { id: string; userId: string },
    until: string,
    afterPosition: number,
  ) {
    const { rows } = await sql<ExportedMessage>`
      select id, position, role, case when had_ended then status else 'running' end as status,
        case when had_ended or role = 'user' then content end as content,
        case when had_ended then stop_sequence end as stop_sequence, model,
        case when had_ended or role = 'user' then token_count else 0 end as token_count, created_at,
        case when had_ended then finished_at end as finished_at,
        case when had_ended then error_code end as error_code,
        case when had_ended then request_id end as request_id, tag
      from ${pageOf(sql`
        select c.*, c.status <> 'running' and coalesce(c.finished_at, c.created_at) <= ${upTo(until)}
          as had_ended
        from (values (${conversation.userId}::uuid)) as asked (reader)
        join messages c on ${isOwn}
        where c.conversation_id = ${conversation.id}::uuid
          and c.position > ${afterPosition} and c.created_at <= ${upTo(until)}`)} as page
      order by position`.execute(this.#db)
    return rows
  }

  async listLedger(
    userId: string,
    until: string,
    { afterId, limit }: { afterId: string; limit: number },
  ) {
    const rows = await this.#db
      .selectFrom('ledger')
      .selectAll()
      .where('userId', '=', userId)
      .where('createdAt', '<=', upTo(until))
      .where('id', '>', afterId)
      .orderBy('id')
      .limit(limit)
      .execute()
    return rows.map(withCost)
  }
}

type ExportedRow = Omit<ExportedConversation, 'ref'> & { sealedFor: string; dataKey: Buffer }

/** Of `c`, a conversation or one of its messages. */
const isOwn = sql.raw(isOwnedBy('c', 'asked.reader'))

const upTo = (until: string) => sql<Date>`${until}::timestamptz`
