import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { accessibleConversation, type ConversationRole } from '../access/conversation-access.ts'
import { type ConversationRef, refColumns, toConversationRef } from '../access/conversation-ref.ts'

/** A conversation that a user may read. */
export type ReadableConversation = {
  ref: ConversationRef
  role: ConversationRole
  /** Of the messages that the user may read. */
  messageCount: number
}

export type ReadableRow = {
  conversationId: string
  sealedFor: string
  dataKey: Buffer
  readerRole: ConversationRole
  readableCount: number
}

/** A {@link ReadableRow}. @param conversation alias of an accessible conversation. */
export const readableColumns = (conversation: string) => `
  ${conversation}.id as conversation_id, ${refColumns(conversation)},
  ${conversation}.role as reader_role,
  greatest(0, ${conversation}.message_count - ${conversation}.messages_deleted
    - (${conversation}.from_position - 1)) as readable_count`

export const toReadable = (row: ReadableRow): ReadableConversation => ({
  ref: toConversationRef({ ...row, id: row.conversationId }),
  role: row.readerRole,
  messageCount: row.readableCount,
})

const findReadable = prepare<{ id: string; userId: string }, ReadableRow>(
  'find_readable_conversation',
  (value) => `
  select ${readableColumns('c')}
  from (values (${value('id', 'uuid')}, ${value('userId', 'uuid')})) as asked (id, reader)
  join ${accessibleConversation('asked.id', 'asked.reader')} as c on true`,
)

export class ConversationRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Undefined also when the user has no access to it. */
  async find(id: string, userId: string): Promise<ReadableConversation | undefined> {
    const [row] = await findReadable(this.#db, { id, userId })
    return row && toReadable(row)
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
