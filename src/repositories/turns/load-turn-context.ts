/**
 * Reads all that a send needs before its message can be sealed, in one prepared statement: the
 * user's sealed key and limits, and the conversation with the newest page of the history that goes
 * to Claude, which is nearly always all of it. Batches concurrent sends.
 *
 * Takes no locks. The statement that begins the turn (start-turns.ts) checks again, under locks,
 * what could change until then.
 */

import type { Kysely } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { Batcher } from '../../database/statements/batcher.ts'
import { inPlaces, jsonRows } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { AppError } from '../../errors.ts'
import { isReached, type Reach } from '../access/reach.ts'
import type { StoredLimit } from '../billing/budgets.ts'
import type { SendablePage } from './send-histories.ts'

/** The conversation as read for a send. */
export type SendableConversation = {
  id: string
  userId: string
  dataKey: Buffer
  systemPrompt: Buffer | null
  model: string
  messageCount: number
  /** The answer that is still running in it. */
  runningMessageId: string | null
  historyStart: number
  /** Number of whole messages before `historyStart`. */
  historyOmitted: number
  /** False while none of its turns is kept. */
  isListed: boolean
  /** The newest whole messages from `historyStart` on; send-histories.ts has those before them. */
  history: SendablePage
}

export type TurnContext = {
  userDataKey: Buffer
  /** Null when the user has not stored one. */
  apiKey: { sealed: Buffer; rejectedAt: Date | null } | null
  limits: StoredLimit[]
  /** The monthly cap of the connection that asks; null for any other session. */
  connection: { limitNanoUsd: string | null } | null
  /** Undefined when none was requested, or when the session reaches none with that id. */
  conversation: SendableConversation | undefined
}

/** Without a conversation the columns of one are null, and `id` says so. */
type Row = Omit<SendableConversation, 'id' | 'userId' | 'history'> & {
  place: number
  userDataKey: Buffer
  sealedApiKey: Buffer | null
  rejectedAt: Date | null
  limits: StoredLimit[]
  isConnection: boolean
  connectionLimit: string | null
  id: string | null
  history: [
    isWhole: boolean,
    messages: [id: string, position: number, role: string, content: string | null][],
  ]
}

/** Limits for the messages that are read with it: many sends may be in one batch. */
const MOST_MESSAGES = 200
const MOST_BYTES = 256 * 1024

type AskedSend = Reach & { conversationId: string | null }

const asked = jsonRows<keyof AskedSend>({
  userId: 'uuid',
  sessionId: 'uuid',
  readsAll: 'boolean',
  conversationId: 'uuid',
})

/**
 * Looks the row up by its key for each send. `offset 0` keeps the planner from joining whole tables
 * instead, which it prefers while tables are new and have no statistics.
 */
const rowOf = (table: string, isIt: string) =>
  `lateral (select * from ${table} where ${isIt} offset 0)`

const loadTurnContexts = prepare<{ sends: string }, Row>(
  'load_turn_context',
  (value) => `
  select
    a.place,
    u.data_key as user_data_key,
    k.sealed as sealed_api_key,
    k.rejected_at,
    (
      select coalesce(json_agg(json_build_object(
        'period', b.period,
        'setBy', b.set_by,
        'limitNanoUsd', b.limit_nano_usd::text,
        'limitTokens', b.limit_tokens::text
      )), '[]')
      from budgets b
      where b.user_id = u.id
    ) as limits,
    coalesce(s.kind = 'connection', false) as is_connection,
    s.limit_nano_usd as connection_limit,
    c.id,
    c.data_key,
    c.system_prompt,
    c.model,
    c.message_count,
    c.running_message_id,
    c.history_start,
    c.history_omitted,
    c.is_listed,
    (
      select json_build_array(
        coalesce(bool_and(fits), true),
        coalesce(
          json_agg(json_build_array(id, position, role, encode(content, 'base64')) order by position desc)
            filter (where fits),
          '[]'
        )
      )
      from (
        select *, row_number() over newest_first <= ${MOST_MESSAGES}
          and sum(coalesce(octet_length(content), 0)) over newest_first <= ${MOST_BYTES} as fits
        from (
          select m.id, m.position, m.role, m.content
          from messages m
          where m.conversation_id = c.id and m.position >= c.history_start
            and m.user_id = u.id and m.status = 'complete'
          order by m.position desc
          limit ${MOST_MESSAGES + 1}
        ) as newest
        window newest_first as (order by position desc)
      ) as history
    ) as history
  from ${asked.as('a', value('sends', 'json'))}
  join ${rowOf('users', 'id = a.user_id')} as u on true
  left join ${rowOf('api_keys', 'user_id = a.user_id')} as k on true
  left join ${rowOf('sessions', 'id = a.session_id and user_id = a.user_id')} as s on true
  left join ${rowOf('conversations', 'id = a.conversation_id and user_id = a.user_id')} as c
    on ${isReached('c', 's', 'a.reads_all')}`,
)

export class TurnContextRepository {
  readonly #db: Kysely<Schema>
  readonly #openings = new Batcher<AskedSend, Row | undefined>({
    run: (sends) => this.#openTogether(sends),
  })

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** @throws AppError not_found when the user no longer exists. */
  async get(reach: Reach, conversationId: string | undefined): Promise<TurnContext> {
    const row = await this.#openings.load({ ...reach, conversationId: conversationId ?? null })
    if (row === undefined) throw new AppError('not_found', 'This account has been deleted.')
    const { userDataKey, sealedApiKey: sealed, rejectedAt, limits } = row
    return {
      userDataKey,
      apiKey: sealed === null ? null : { sealed, rejectedAt },
      limits,
      connection: row.isConnection ? { limitNanoUsd: row.connectionLimit } : null,
      conversation: row.id === null ? undefined : toConversation(row, row.id, reach.userId),
    }
  }

  async #openTogether(sends: readonly AskedSend[]): Promise<(Row | undefined)[]> {
    return inPlaces(sends, await loadTurnContexts(this.#db, { sends: asked.toJson(sends) }))
  }
}

function toConversation(row: Row, id: string, userId: string): SendableConversation {
  const { dataKey, systemPrompt, model, messageCount, runningMessageId } = row
  const { historyStart, historyOmitted, isListed } = row
  const [isWhole, newest] = row.history
  const messages = newest.map(([id, position, role, content]) => ({
    id,
    position,
    role,
    content: content === null ? null : Buffer.from(content, 'base64'),
  }))
  return {
    id,
    userId,
    dataKey,
    systemPrompt,
    model,
    messageCount,
    runningMessageId,
    historyStart,
    historyOmitted,
    isListed,
    history: { messages, isWhole },
  }
}
