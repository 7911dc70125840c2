import type { Kysely } from 'kysely'
import type { Schema } from '../database/schema.ts'
import { AppError } from '../errors.ts'

export class MessageRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** The newest `limit` messages before `beforePosition` (or all of them), oldest first. */
  async list(
    conversationId: string,
    userId: string,
    page: { limit?: number | undefined; beforePosition?: number | undefined },
  ) {
    const newestFirst = await this.#db
      .selectFrom('messages')
      .select([
        'id',
        'position',
        'role',
        'status',
        'content',
        'createdAt',
        'finishedAt',
        'tokenCount',
        'model',
        'errorCode',
      ])
      .where('conversationId', '=', conversationId)
      .where('userId', '=', userId)
      .$if(page.beforePosition !== undefined, (query) =>
        query.where('position', '<', page.beforePosition as number),
      )
      .orderBy('position', 'desc')
      .$if(page.limit !== undefined, (query) => query.limit(page.limit as number))
      .execute()
    return newestFirst.reverse()
  }

  /** @throws AppError not_found unless the message is one of this conversation and this user. */
  async getPosition(id: string, conversationId: string, userId: string): Promise<number> {
    const row = await this.#db
      .selectFrom('messages')
      .select('position')
      .where('id', '=', id)
      .where('conversationId', '=', conversationId)
      .where('userId', '=', userId)
      .executeTakeFirstOrThrow(
        () =>
          new AppError('not_found', 'This conversation has no message with the id in `before`.', {
            details: { field: 'before' },
          }),
      )
    return row.position
  }
}
