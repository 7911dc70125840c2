import { type Insertable, type Kysely, sql } from 'kysely'
import type { ConversationsTable, Schema } from '../database/schema.ts'
import { AppError } from '../errors.ts'

export type NewConversation = Pick<
  Insertable<ConversationsTable>,
  'id' | 'userId' | 'dataKey' | 'title' | 'systemPrompt' | 'model' | 'runningMessageId'
>

/** What a send needs to know of the conversation it adds to. */
export type SendableConversation = {
  id: string
  userId: string
  dataKey: Buffer
  systemPrompt: Buffer | null
  model: string
  messageCount: number
  historyStart: number
}

/** A place in the list: newest activity first, the id settles ties. */
export type ConversationCursor = { updatedAt: Date; id: string }

const conversationNotFound = () =>
  new AppError(
    'not_found',
    'You have no conversation with this id. get_conversations lists yours.',
    {
      details: { field: 'conversation_id' },
    },
  )

export class ConversationRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async insert(conversation: NewConversation): Promise<void> {
    await this.#db
      .insertInto('conversations')
      .values({ ...conversation, messageCount: 2 })
      .execute()
  }

  /**
   * Reserves the conversation for one answer and counts the two messages of its turn.
   *
   * One statement under the row's lock: of two sends at once exactly one gets it, the other
   * waits for nothing and is told so.
   *
   * @returns the conversation as it was before this turn.
   * @throws AppError not_found (also when it is somebody else's) or conversation_busy.
   */
  async take(id: string, userId: string, answerId: string): Promise<SendableConversation> {
    const taken = await this.#db
      .updateTable('conversations')
      .set((set) => ({
        runningMessageId: answerId,
        messageCount: set('messageCount', '+', 2),
      }))
      .where('id', '=', id)
      .where('userId', '=', userId)
      .where('runningMessageId', 'is', null)
      .returning([
        'id',
        'userId',
        'dataKey',
        'systemPrompt',
        'model',
        'historyStart',
        sql<number>`message_count - 2`.as('messageCount'),
      ])
      .executeTakeFirst()
    if (taken) return taken
    await this.get(id, userId)
    throw new AppError(
      'conversation_busy',
      'Claude is still answering in this conversation. Send again when that answer is there.',
      { retryAfterSeconds: 2 },
    )
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

  async updateSystemPrompt(id: string, userId: string, systemPrompt: Buffer | null): Promise<void> {
    await this.#db
      .updateTable('conversations')
      .set({ systemPrompt })
      .where('id', '=', id)
      .where('userId', '=', userId)
      .execute()
  }

  /** Frees the conversation after the answer it was reserved for. */
  async release(
    id: string,
    answerId: string,
    changes: { model?: string; historyStart?: number },
  ): Promise<void> {
    await this.#db
      .updateTable('conversations')
      .set({ ...changes, runningMessageId: null, updatedAt: sql<Date>`now()` })
      .where('id', '=', id)
      .where('runningMessageId', '=', answerId)
      .execute()
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
