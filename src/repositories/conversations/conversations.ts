import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { accessibleConversation, type ConversationRole } from '../access/conversation-access.ts'
import { type ConversationRef, refColumns, toConversationRef } from '../access/conversation-ref.ts'

/** A conversation that a user may read. */
export type ReadableConversation = {
  ref: ConversationRef
  role: ConversationRole
  /** Of the messages that the user may read. */
  messageCount: number
}

export class ConversationRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Undefined also when the user has no access to it. */
  async find(id: string, userId: string): Promise<ReadableConversation | undefined> {
    const { rows } = await sql<
      Parameters<typeof toConversationRef>[0] & { role: ConversationRole; messageCount: number }
    >`
      select c.id, ${sql.raw(refColumns('c'))}, c.role,
        c.message_count - c.messages_deleted - (c.from_position - 1) as message_count
      from (values (${id}::uuid, ${userId}::uuid)) as asked (id, reader)
      join ${sql.raw(accessibleConversation('asked.id', 'asked.reader'))} as c on true`.execute(
      this.#db,
    )
    const [row] = rows
    if (row === undefined) return undefined
    const { role, messageCount } = row
    return { ref: toConversationRef(row), role, messageCount: Math.max(0, messageCount) }
  }

  /** Whether the user has access to it, in any role. */
  async isReadable(id: string, userId: string): Promise<boolean> {
    const { rows } = await sql`
      select from (values (${id}::uuid, ${userId}::uuid)) as asked (id, reader)
      join ${sql.raw(accessibleConversation('asked.id', 'asked.reader'))} as c on true`.execute(
      this.#db,
    )
    return rows.length > 0
  }

  /** One user's, or (null) everyone's. */
  async count(userId: string | null): Promise<number> {
    const { conversations } = await this.#db
      .selectFrom('users')
      .select(sql<string>`coalesce(sum(conversation_count), 0)`.as('conversations'))
      .$if(userId !== null, (query) => query.where('id', '=', userId as string))
      .executeTakeFirstOrThrow()
    return Number(conversations)
  }
}
