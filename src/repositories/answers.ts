import { type Kysely, sql } from 'kysely'
import type { Schema } from '../database/schema.ts'

/** Claude's side of a turn, by its own id or by the key of the call that asked for it. */
export class AnswerRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Claude's side of a turn, with the key that opens it. */
  async find(id: string, userId: string) {
    return this.#db
      .selectFrom('messages')
      .innerJoin('conversations', 'conversations.id', 'messages.conversationId')
      .select([
        'messages.id',
        'messages.conversationId',
        'messages.userId',
        'messages.status',
        'messages.content',
        'messages.model',
        'messages.result',
        'messages.stopSequence',
        'messages.errorCode',
        'messages.requestId',
        'conversations.dataKey',
      ])
      .where('messages.id', '=', id)
      .where('messages.userId', '=', userId)
      .where('messages.role', '=', 'assistant')
      .executeTakeFirst()
  }

  /** The answer that an idempotency key stands for. */
  async findByIdempotencyHash(userId: string, idempotencyHash: Buffer) {
    return this.#db
      .selectFrom('messages')
      .select(['id', 'status', 'conversationId', 'requestFingerprint'])
      .where('userId', '=', userId)
      .where('idempotencyHash', '=', idempotencyHash)
      .executeTakeFirst()
  }

  /** Leaves word for the process that generates the answer. */
  async requestCancel(id: string, userId: string): Promise<void> {
    await this.#db
      .updateTable('messages')
      .set({ cancelRequestedAt: sql<Date>`now()` })
      .where('id', '=', id)
      .where('userId', '=', userId)
      .where('status', '=', 'running')
      .execute()
  }

  /** Notes that a repeat of its call waits for the answer too. */
  async putJoined(answerId: string): Promise<void> {
    await this.#db
      .updateTable('messages')
      .set({ joinedAt: sql<Date>`now()` })
      .where('id', '=', answerId)
      .where('status', '=', 'running')
      .execute()
  }

  /** Whether a repeat of its call came while the answer ran. */
  async isJoined(answerId: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom('messages')
      .select('joinedAt')
      .where('id', '=', answerId)
      .executeTakeFirst()
    return row !== undefined && row.joinedAt !== null
  }
}
