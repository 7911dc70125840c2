import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema } from '../../database/schema.ts'

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
  id: string
  userId: string
  dataKey: Buffer
  title: Buffer
  systemPrompt: Buffer | null
  model: string
  isActive: boolean
  createdAt: Date
  updatedAt: Date
}

/** Limits of one page; the first one reached applies. A single row may be larger. */
const PAGE_MESSAGES = 500
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
    const { messages } = await this.#db
      .selectFrom('conversations')
      .select(sql<string>`coalesce(sum(message_count - messages_deleted), 0)`.as('messages'))
      .where('userId', '=', userId)
      .where('isListed', '=', true)
      .executeTakeFirstOrThrow()
    return Number(messages)
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
    const { rows } = await sql<ExportedConversation>`
      select id, user_id, data_key, title, system_prompt, model, is_active, created_at, updated_at
      from (
        select *, sum(kept_bytes(title, system_prompt)) over (order by id) as bytes_so_far
        from (
          select * from conversations
          where user_id = ${userId}::uuid and is_listed and id > ${afterId ?? BEFORE_ALL}::uuid
            and created_at <= ${upTo(until)}
          order by id
          limit ${PAGE_CONVERSATIONS}
        ) as next
      ) as page
      where bytes_so_far - kept_bytes(title, system_prompt) < ${PAGE_BYTES}
      order by id`.execute(this.#db)
    return rows
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
      from (
        select *, sum(octet_length(content)) over (order by position) as bytes_so_far
        from (
          select *, status <> 'running' and coalesce(finished_at, created_at) <= ${upTo(until)}
            as had_ended
          from messages
          where conversation_id = ${conversation.id}::uuid and user_id = ${conversation.userId}::uuid
            and position > ${afterPosition} and created_at <= ${upTo(until)}
          order by position
          limit ${PAGE_MESSAGES}
        ) as next
      ) as page
      where coalesce(bytes_so_far, 0) - coalesce(octet_length(content), 0) < ${PAGE_BYTES}
      order by position`.execute(this.#db)
    return rows
  }

  async listLedger(
    userId: string,
    until: string,
    { afterId, limit }: { afterId: string; limit: number },
  ) {
    return this.#db
      .selectFrom('ledger')
      .selectAll()
      .where('userId', '=', userId)
      .where('createdAt', '<=', upTo(until))
      .where('id', '>', afterId)
      .orderBy('id')
      .limit(limit)
      .execute()
  }
}

const upTo = (until: string) => sql<Date>`${until}::timestamptz`
