import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema, StoredReservation } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import { tellReplicas } from './answer-notices.ts'

/** A turn as it begins: the user's message, and the place of the answer that is to come. */
export type NewTurn = {
  conversationId: string
  userId: string
  userMessageId: string
  answerId: string
  /** Position of the user's message; the answer's is the next one. */
  position: number
  content: Buffer
  tokenCount: number
  model: string
  idempotencyHash: Buffer | null
  requestFingerprint: Buffer | null
  replicaId: string
  leaseSeconds: number
  tag: string | null
  reservation: StoredReservation
}

/** How a turn ended. */
export type TurnEnd = {
  status: Exclude<MessageStatus, 'running'>
  /** The sealed answer; null when there is none. */
  content: Buffer | null
  /** Sealed. */
  stopSequence: Buffer | null
  model: string
  tokenCount: number
  result: Record<string, unknown> | null
  errorCode: string | null
  requestId: string | null
  durationMs: number
  upstreamMs: number
  /** False when nothing was billed: the caller may use the key for another try. */
  keepIdempotencyKey: boolean
}

export class MessageRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Both rows of a turn, status `running`. */
  async insertTurn(turn: NewTurn): Promise<void> {
    const shared = {
      conversationId: turn.conversationId,
      userId: turn.userId,
      status: 'running' as const,
      model: turn.model,
    }
    await this.#db
      .insertInto('messages')
      .values([
        {
          ...shared,
          id: turn.userMessageId,
          position: turn.position,
          role: 'user',
          content: turn.content,
          tokenCount: turn.tokenCount,
        },
        {
          ...shared,
          id: turn.answerId,
          position: turn.position + 1,
          role: 'assistant',
          idempotencyHash: turn.idempotencyHash,
          requestFingerprint: turn.requestFingerprint,
          replicaId: turn.replicaId,
          leaseExpiresAt: leaseEnd(turn.leaseSeconds),
          tag: turn.tag,
          reservation: JSON.stringify(turn.reservation),
        },
      ])
      .execute()
  }

  /**
   * Ends a running turn.
   *
   * @returns false when it was not running any more: another replica closed it in the meantime.
   */
  async finishTurn(answerId: string, end: TurnEnd): Promise<boolean> {
    const answer = await this.#db
      .updateTable('messages')
      .set({
        status: end.status,
        content: end.content,
        stopSequence: end.stopSequence,
        model: end.model,
        tokenCount: end.tokenCount,
        result: end.result === null ? null : JSON.stringify(end.result),
        errorCode: end.errorCode,
        requestId: end.requestId,
        finishedAt: sql<Date>`now()`,
        durationMs: end.durationMs,
        upstreamMs: end.upstreamMs,
        replicaId: null,
        leaseExpiresAt: null,
        reservation: null,
        ...(end.keepIdempotencyKey ? {} : { idempotencyHash: null }),
      })
      .where('id', '=', answerId)
      .where('status', '=', 'running')
      .returning(['conversationId', 'position'])
      .executeTakeFirst()
    if (!answer) return false
    await this.#db
      .updateTable('messages')
      .set({ status: end.status, finishedAt: sql<Date>`now()` })
      .where('conversationId', '=', answer.conversationId)
      .where('position', '=', answer.position - 1)
      .execute()
    await tellReplicas(this.#db, 'finished', answerId)
    return true
  }

  /** Whole turns from `fromPosition` on, oldest first: what may be sent to Claude. */
  async listComplete(conversationId: string, userId: string, fromPosition: number) {
    return this.#db
      .selectFrom('messages')
      .select(['id', 'position', 'role', 'content', 'tokenCount'])
      .where('conversationId', '=', conversationId)
      .where('userId', '=', userId)
      .where('status', '=', 'complete')
      .where('position', '>=', fromPosition)
      .orderBy('position')
      .execute()
  }

  /** Whole messages before `position`: what stays stored but is not sent any more. */
  async countCompleteBefore(conversationId: string, position: number): Promise<number> {
    const { earlier } = await this.#db
      .selectFrom('messages')
      .select((select) => select.fn.countAll<string>().as('earlier'))
      .where('conversationId', '=', conversationId)
      .where('status', '=', 'complete')
      .where('position', '<', position)
      .executeTakeFirstOrThrow()
    return Number(earlier)
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

export const leaseEnd = (leaseSeconds: number) =>
  sql<Date>`now() + make_interval(secs => ${leaseSeconds})`
