import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema } from '../../database/schema.ts'
import { accessibleConversation, type ConversationRole } from '../access/conversation-access.ts'
import { type ConversationRef, refColumns, toConversationRef } from '../access/conversation-ref.ts'
import { isLive, isReached, type Reach } from '../access/reach.ts'
import { isTurnKept, pageOf } from './message-pages.ts'

/** Columns of who pays in a conversation. */
export type StoredPayment = {
  payer: 'sender' | 'team'
  payers: 'any' | 'team_only'
  payingTeamId: string | null
}

/** A conversation to be copied. What is sealed opens with `ref`. */
export type BranchSource = {
  ref: ConversationRef
  role: ConversationRole
  title: Buffer
  titleBy: 'user' | 'gateway' | 'import' | null
  /** Null also for a viewer, who may not read it. */
  systemPrompt: Buffer | null
  model: string
  historyStart: number
  historyOmitted: number
  /** Whose copy is paid as the original is; null for others, who pay for theirs. */
  payment: StoredPayment | null
  /** Last position of the turns that have ended. */
  endedThrough: number
}

/** A message of an ended turn as stored. */
export type CopiedMessage = {
  id: string
  position: number
  role: 'user' | 'assistant'
  status: Exclude<MessageStatus, 'running'>
  content: Buffer | null
  stopSequence: Buffer | null
  model: string
  tokenCount: number
  createdAt: Date
  finishedAt: Date | null
  senderId: string
  errorCode: string | null
  imported: boolean
}

/** Reads what a branch is made of. Every statement checks the access of the session that asks. */
export class BranchSourceRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Undefined when the session does not reach it, or its user has no access. */
  async find(id: string, reach: Reach): Promise<BranchSource | undefined> {
    const { rows } = await sql<SourceRow>`
      select c.id, ${sql.raw(refColumns('c'))}, c.role, c.title, c.title_by,
        case when c.role <> 'viewer' then c.system_prompt end as system_prompt, c.model,
        c.history_start, case c.from_position when 1 then c.history_omitted else 0 end as history_omitted,
        case when c.role = 'owner' then json_build_object(
          'payer', c.payer, 'payers', c.payers, 'payingTeamId', c.paying_team_id
        ) end as payment,
        c.message_count - case when c.running_message_id is null then 0 else 2 end as ended_through
      from ${reached(id, reach)}`.execute(this.#db)
    const [row] = rows
    if (row === undefined) return undefined
    const { id: sourceId, sealedFor, dataKey, ...source } = row
    return { ...source, ref: toConversationRef({ id: sourceId, sealedFor, dataKey }) }
  }

  /** The position of a message that the session may read; undefined when it may not. */
  async findPosition(messageId: string, id: string, reach: Reach): Promise<number | undefined> {
    const { rows } = await sql<{ position: number }>`
      select m.position
      from ${reached(id, reach)}
      join messages m on m.conversation_id = c.id and m.position >= c.from_position
      where m.id = ${messageId}::uuid`.execute(this.#db)
    return rows[0]?.position
  }

  /**
   * The messages after a position, in order. Leaves out turns of which no text is kept, and is empty
   * only when there are no more.
   */
  async page(
    id: string,
    reach: Reach,
    range: { after: number; through: number },
  ): Promise<CopiedMessage[]> {
    const { rows } = await sql<CopiedMessage>`
      select id, position, role, status, content, stop_sequence, model, token_count, created_at,
        finished_at, coalesce(sender_id, user_id) as sender_id, error_code, imported
      from ${pageOf(sql`
        select m.*
        from ${reached(id, reach)}
        join messages m on m.conversation_id = c.id and m.position >= c.from_position
        where m.position > ${range.after} and m.position <= ${range.through}
          and m.status <> 'running' and ${isTurnKept}`)} as page
      order by position`.execute(this.#db)
    return rows
  }
}

type SourceRow = Omit<BranchSource, 'ref'> & { id: string; sealedFor: string; dataKey: Buffer }

/** For a `from`: `c`, the conversation, if the session is live and reaches it. */
const reached = (id: string, { userId, sessionId, readsAll }: Reach) => sql`
  (values (${id}::uuid, ${userId}::uuid, ${sessionId}::uuid, ${readsAll}::boolean))
    as asked (id, reader, session_id, reads_all)
  join sessions s on s.id = asked.session_id and s.user_id = asked.reader
    and ${sql.raw(isLive('s'))}
  join ${sql.raw(accessibleConversation('asked.id', 'asked.reader'))} as c
    on ${sql.raw(isReached('c', 's', 'asked.reads_all'))}`
