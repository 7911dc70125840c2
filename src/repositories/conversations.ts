import { type Kysely, sql } from 'kysely'
import type { Schema } from '../database/schema.ts'
import { AppError } from '../errors.ts'

/** A place in the list: newest activity first, the id settles ties. */
export type ConversationCursor = { updatedAt: Date; id: string }

export const conversationNotFound = () =>
  new AppError(
    'not_found',
    'You have no conversation with this id. get_conversations lists yours.',
    {
      details: { field: 'conversation_id' },
    },
  )

export const conversationBusy = () =>
  new AppError(
    'conversation_busy',
    'Claude is still answering in this conversation. Send again when that answer is there.',
    { retryAfterSeconds: 2 },
  )

export class ConversationRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** @throws AppError not_found, also when it is somebody else's. */
  async get(id: string, userId: string) {
    return this.#db
      .selectFrom('conversations')
      .select(['id', 'userId', 'dataKey', 'messageCount'])
      .where('id', '=', id)
      .where('userId', '=', userId)
      .executeTakeFirstOrThrow(conversationNotFound)
  }

  /** One page, newest activity first: by cursor (equally quick at any depth) or by offset. */
  async list(userId: string, page: { limit: number; offset: number; after?: ConversationCursor }) {
    return this.#db
      .selectFrom('conversations')
      .select([
        'id',
        'userId',
        'dataKey',
        'title',
        'model',
        'messageCount',
        'isActive',
        'createdAt',
        'updatedAt',
      ])
      .where('userId', '=', userId)
      .$if(page.after !== undefined, (query) => {
        const { updatedAt, id } = page.after as ConversationCursor
        return query.where(
          sql<boolean>`(updated_at, id) < (${updatedAt}::timestamptz, ${id}::uuid)`,
        )
      })
      .orderBy('updatedAt', 'desc')
      .orderBy('id', 'desc')
      .limit(page.limit)
      .offset(page.offset)
      .execute()
  }

  /** One user's, or (null) everybody's. */
  async count(userId: string | null): Promise<number> {
    const { conversations } = await this.#db
      .selectFrom('conversations')
      .select((select) => select.fn.countAll<string>().as('conversations'))
      .$if(userId !== null, (query) => query.where('userId', '=', userId as string))
      .executeTakeFirstOrThrow()
    return Number(conversations)
  }
}
