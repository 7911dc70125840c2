import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema } from '../../database/schema.ts'
import { isLive, isReached, mayDo, type Reach } from '../access/reach.ts'

/** Claude's side of a turn as stored, with the key that opens it. */
export type StoredAnswer = {
  id: string
  conversationId: string
  userId: string
  status: MessageStatus
  content: Buffer | null
  model: string
  result: Record<string, unknown> | null
  stopSequence: Buffer | null
  errorCode: string | null
  requestId: string | null
  dataKey: Buffer
}

/** Claude's side of a turn, by its own id or by the key of the call that asked for it. */
export class AnswerRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** For internal use: does not check a session's access. */
  async find(id: string, userId: string): Promise<StoredAnswer | undefined> {
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

  /**
   * Checks the access of the session that asks.
   *
   * @returns undefined when the session has ended or may no longer send messages; null when it
   *   reaches no such answer.
   */
  async findReached(id: string, reach: Reach): Promise<StoredAnswer | null | undefined> {
    const { rows } = await sql<StoredAnswer | { id: null }>`
      select m.id, m.conversation_id, m.user_id, m.status, m.content, m.model, m.result,
        m.stop_sequence, m.error_code, m.request_id, c.data_key
      from sessions s
      left join (messages m join conversations c on c.id = m.conversation_id)
        on m.id = ${id}::uuid and m.user_id = s.user_id and m.role = 'assistant'
        and ${reached(reach)}
      where s.id = ${reach.sessionId}::uuid and s.user_id = ${reach.userId}::uuid
        and ${sql.raw(isLive('s'))} and ${sql.raw(mayDo('s', 'messages:send'))}`.execute(this.#db)
    const [row] = rows
    return row && (row.id === null ? null : row)
  }

  /** The answer of an idempotency key that the session reaches; its own key has priority. */
  async findByIdempotencyHash(reach: Reach, hashes: { own: Buffer; ofUser: Buffer }) {
    const { rows } = await sql<{
      id: string
      status: MessageStatus
      requestFingerprint: Buffer | null
    }>`
      select m.id, m.status, m.request_fingerprint
      from messages m
      join conversations c on c.id = m.conversation_id
      join sessions s on s.id = ${reach.sessionId}::uuid and s.user_id = m.user_id
      where m.user_id = ${reach.userId}::uuid
        and m.idempotency_hash in (${hashes.own}, ${hashes.ofUser}) and ${reached(reach)}
      order by m.idempotency_hash = ${hashes.own} desc
      limit 1`.execute(this.#db)
    return rows[0]
  }

  /** Flags the answer for the process that generates it. */
  async requestCancel(id: string, userId: string): Promise<void> {
    await this.#db
      .updateTable('messages')
      .set({ cancelRequestedAt: sql<Date>`now()` })
      .where('id', '=', id)
      .where('userId', '=', userId)
      .where('status', '=', 'running')
      .execute()
  }

  /** Records that a repeat of its call also waits for the answer. */
  async putJoined(answerId: string): Promise<void> {
    await this.#db
      .updateTable('messages')
      .set({ joinedAt: sql<Date>`now()` })
      .where('id', '=', answerId)
      .where('status', '=', 'running')
      .execute()
  }

  /** Whether a repeat of its call came while the answer was running. */
  async isJoined(answerId: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom('messages')
      .select('joinedAt')
      .where('id', '=', answerId)
      .executeTakeFirst()
    return row !== undefined && row.joinedAt !== null
  }
}

/** Whether the session `s` reaches the conversation `c`. */
const reached = ({ readsAll }: Reach) => sql.raw(isReached('c', 's', String(readsAll)))
