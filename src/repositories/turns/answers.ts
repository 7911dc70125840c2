import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema } from '../../database/schema.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { prepareRead } from '../access/caller-reads.ts'
import { accessTo, isOwnedBy, isSentBy } from '../access/conversation-access.ts'
import { type ConversationRef, refColumns, toConversationRef } from '../access/conversation-ref.ts'
import { isLive, isReached, mayDo, type Reach } from '../access/reach.ts'
import { fromStoredReceipt, type StoredReceipt } from './receipts.ts'

/** Claude's side of a turn as stored, with what opens it. */
export type StoredAnswer = {
  id: string
  conversation: ConversationRef
  status: MessageStatus
  content: Buffer | null
  model: string
  receipt: StoredReceipt | null
  stopSequence: Buffer | null
  errorCode: string | null
  requestId: string | null
  /** Whether the conversation is another user's than the one who asks. */
  isOthers: boolean
  /** Whether the one who asks sent the message that it answers. */
  isSenders: boolean
  /** Username of the sender of that message; null: a former user. */
  sender: string | null
  /** Of the key that paid; null also for a viewer, who may not know it. */
  keyLastFour: string | null
  /** Name of the team that paid; null: the sender did. */
  payingTeam: string | null
}

type AnswerRow = Omit<StoredAnswer, 'conversation' | 'receipt'> & {
  result: Record<string, unknown> | null
  conversationId: string
  sealedFor: string
  dataKey: Buffer
}

/** Of the message `m` in the conversation `c`. @param asker SQL for the id of the user who asks. */
const answerColumns = (asker: string, content = 'm.content') => `
  m.id, m.conversation_id, m.status, ${content} as content, m.model, m.result, m.stop_sequence,
  m.error_code, m.request_id, ${refColumns('c')}, not (${isOwnedBy('c', asker)}) as is_others,
  ${isSentBy('m', asker)} as is_senders,
  (select u.username from users u where u.id = coalesce(m.sender_id, m.user_id)) as sender,
  (select t.name from teams t where t.id = m.paying_team_id) as paying_team`
const ANSWER_COLUMNS = sql.raw(answerColumns('asker.id'))

type Asked = { session: string; messageId: string; readsAll: string }

/**
 * A table expression for a `left join`: the answer that the session reaches, or none.
 *
 * @param columns of the message `m` in the conversation `c`.
 */
const reachedAnswer = (columns: string, { session, messageId, readsAll }: Asked) => `lateral (
    select ${columns}, case when access.role <> 'viewer' then m.key_last_four end as key_last_four
    from messages m
    join conversations c on c.id = m.conversation_id
    join ${accessTo('c', `${session}.user_id`)} as access on m.position >= access.from_position
    where m.id = ${messageId} and m.role = 'assistant' and ${isReached('c', session, readsAll)}
  )`

const findReachedAnswer = prepare<Reach & { messageId: string }, AnswerRow | { id: null }>(
  'find_reached_answer',
  (value) => `
  select answer.*
  from sessions s
  left join ${reachedAnswer(answerColumns('s.user_id'), {
    session: 's',
    messageId: value('messageId', 'uuid'),
    readsAll: value('readsAll', 'boolean'),
  })} as answer on true
  where s.id = ${value('sessionId', 'uuid')} and s.user_id = ${value('userId', 'uuid')}
    and ${isLive('s')} and ${mayDo('s', 'messages:send')}`,
)

/** A longer answer is read alone: many may be in one batch. */
const MOST_BYTES = 256 * 1024
const IS_LONG = `coalesce(octet_length(m.content), 0) > ${MOST_BYTES}`
const LIMITED_COLUMNS = `${answerColumns('a.user_id', `case when not ${IS_LONG} then m.content end`)},
    ${IS_LONG} as is_long`

type AheadRow = (AnswerRow & { isLong: boolean }) | { id: null }

/** `answer`: null when the session reaches none with that id. */
export type ReachedAnswer = { answer: StoredAnswer | null }

export const readAnswer = prepareRead<{ messageId: string }, AheadRow, ReachedAnswer>({
  name: 'answers',
  asked: { messageId: 'uuid' },
  scope: 'messages:send',
  columns: 'answer.*',
  tables: `
  left join ${reachedAnswer(LIMITED_COLUMNS, {
    session: 'a',
    messageId: 'a.message_id',
    readsAll: 'a.reads_all',
  })} as answer on a.is_allowed`,
  toRead([row]) {
    if (row === undefined || row.id === null) return { answer: null }
    return row.isLong ? undefined : { answer: toStoredAnswer(row) }
  },
})

/** The sender, and the owner of the conversation. */
const IS_CONCERNED = sql.raw(`(${isSentBy('m', 'asker.id')} or ${isOwnedBy('m', 'asker.id')})`)

/** Claude's side of a turn, by its own id or by the key of the call that asked for it. */
export class AnswerRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** For internal use, to settle it: does not check a session's access. */
  async find(id: string, userId: string): Promise<StoredAnswer | undefined> {
    const { rows } = await sql<AnswerRow>`
      select ${ANSWER_COLUMNS}, m.key_last_four
      from (values (${userId}::uuid)) as asker (id)
      join messages m on m.id = ${id}::uuid and m.role = 'assistant' and ${IS_CONCERNED}
      join conversations c on c.id = m.conversation_id`.execute(this.#db)
    return rows[0] && toStoredAnswer(rows[0])
  }

  /**
   * Checks the access of the session that asks.
   *
   * @returns undefined when the session has ended or may no longer send messages; null when it
   *   reaches no such answer.
   */
  async findReached(id: string, reach: Reach): Promise<StoredAnswer | null | undefined> {
    const [row] = await findReachedAnswer(this.#db, { messageId: id, ...reach })
    return row && (row.id === null ? null : toStoredAnswer(row))
  }

  /** The answer of the sender's idempotency key that the session reaches; its own key has priority. */
  async findByIdempotencyHash(reach: Reach, hashes: { own: Buffer; ofUser: Buffer }) {
    const { rows } = await sql<{
      id: string
      status: MessageStatus
      requestFingerprint: Buffer | null
    }>`
      select m.id, m.status, m.request_fingerprint
      from sessions s
      join messages m on ${sql.raw(isSentBy('m', 's.user_id'))}
      join conversations c on c.id = m.conversation_id
      join ${ACCESS} as access on true
      where s.id = ${reach.sessionId}::uuid and s.user_id = ${reach.userId}::uuid
        and m.idempotency_hash in (${hashes.own}, ${hashes.ofUser}) and ${reached(reach)}
      order by m.idempotency_hash = ${hashes.own} desc
      limit 1`.execute(this.#db)
    return rows[0]
  }

  /**
   * Flags the answer for the process that generates it, unless it has ended.
   *
   * @returns false when the user neither sent it nor owns the conversation.
   */
  async requestCancel(id: string, userId: string): Promise<boolean> {
    const { rows } = await sql`
      update messages m
      set cancel_requested_at = case when m.status = 'running' then now() else m.cancel_requested_at end
      from (values (${userId}::uuid)) as asker (id)
      where m.id = ${id}::uuid and ${IS_CONCERNED}
      returning m.id`.execute(this.#db)
    return rows.length > 0
  }

  /** Records that a repeat of its call also waits for the answer. */
  async putJoined(answerId: string, senderId: string): Promise<void> {
    await sql`
      update messages m set joined_at = now()
      from (values (${senderId}::uuid)) as asker (id)
      where m.id = ${answerId}::uuid and m.status = 'running' and ${IS_CONCERNED}`.execute(this.#db)
  }

  /** Whether a repeat of its call came while the answer was running. */
  async isJoined(answerId: string, senderId: string): Promise<boolean> {
    const { rows } = await sql<{ isJoined: boolean }>`
      select m.joined_at is not null as is_joined
      from (values (${senderId}::uuid)) as asker (id)
      join messages m on m.id = ${answerId}::uuid and ${IS_CONCERNED}`.execute(this.#db)
    return rows[0]?.isJoined ?? false
  }
}

function toStoredAnswer(row: AnswerRow): StoredAnswer {
  const { conversationId, sealedFor, dataKey, result } = row
  const { id, status, content, model, stopSequence, errorCode, requestId } = row
  const { isOthers, isSenders, sender, keyLastFour, payingTeam } = row
  return {
    id,
    status,
    content,
    model,
    stopSequence,
    errorCode,
    requestId,
    isOthers,
    isSenders,
    sender,
    keyLastFour,
    payingTeam,
    receipt: result && fromStoredReceipt(result),
    conversation: toConversationRef({ id: conversationId, sealedFor, dataKey }),
  }
}

/** Of the session `s` to the conversation `c`. */
const ACCESS = sql.raw(accessTo('c', 's.user_id'))

/** Whether the session `s` reaches the conversation `c`. */
const reached = ({ readsAll }: Reach) => sql.raw(isReached('c', 's', String(readsAll)))
