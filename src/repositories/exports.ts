import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema } from '../database/schema.ts'

/** A message as it is stored; `content` is sealed. */
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

/** Of one page of messages: whichever is reached first. A single message may be larger. */
const PAGE_MESSAGES = 500
const PAGE_BYTES = 1024 * 1024

/** All that is kept of one user, read in pages that each begin where the one before ended. */
export class ExportRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async getUser(userId: string) {
    return this.#db
      .selectFrom('users')
      .select(['id', 'username', 'email', 'createdAt'])
      .where('id', '=', userId)
      .executeTakeFirstOrThrow()
  }

  async countMessages(userId: string): Promise<number> {
    const { messages } = await this.#db
      .selectFrom('messages')
      .select((select) => select.fn.countAll<string>().as('messages'))
      .where('userId', '=', userId)
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

  /** In the order they were begun, which no later message changes. */
  async listConversations(userId: string, afterId: string | undefined, limit: number) {
    return this.#db
      .selectFrom('conversations')
      .select([
        'id',
        'userId',
        'dataKey',
        'title',
        'systemPrompt',
        'model',
        'isActive',
        'createdAt',
        'updatedAt',
      ])
      .where('userId', '=', userId)
      .$if(afterId !== undefined, (query) => query.where('id', '>', afterId as string))
      .orderBy('id')
      .limit(limit)
      .execute()
  }

  /** Oldest first. Lengths are known without reading the texts, so a page is bounded in bytes too. */
  async listMessages(conversationId: string, userId: string, afterPosition: number) {
    const { rows } = await sql<ExportedMessage>`
      select id, position, role, status, content, stop_sequence, model, token_count, created_at,
        finished_at, error_code, request_id, tag
      from (
        select *, sum(octet_length(content)) over (order by position) as bytes_so_far
        from (
          select * from messages
          where conversation_id = ${conversationId}::uuid and user_id = ${userId}::uuid
            and position > ${afterPosition}
          order by position
          limit ${PAGE_MESSAGES}
        ) as next
      ) as page
      where coalesce(bytes_so_far, 0) - coalesce(octet_length(content), 0) < ${PAGE_BYTES}
      order by position`.execute(this.#db)
    return rows
  }

  async listLedger(userId: string, afterId: string, limit: number) {
    return this.#db
      .selectFrom('ledger')
      .selectAll()
      .where('userId', '=', userId)
      .where('id', '>', afterId)
      .orderBy('id')
      .limit(limit)
      .execute()
  }
}
