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
import {
  accessibleConversation,
  type ConversationRole,
  isInTeam,
  payingTeam,
} from '../access/conversation-access.ts'
import { type ConversationRef, refColumns, toConversationRef } from '../access/conversation-ref.ts'
import { isReached, type Reach } from '../access/reach.ts'
import {
  SENDER_COLUMNS,
  SENDER_TABLES,
  SENDER_VERSION,
  type SenderContext,
  type SenderRow,
  toSenderContext,
} from '../billing/sender-context.ts'
import { type PurseRow, type TeamPurse, toPurse } from '../teams/purse-sql.ts'
import type { SendablePage } from './send-histories.ts'
import {
  type NamedPayer,
  PAYER_COLUMNS,
  type PayerValues,
  PURSE_COLUMN,
  type TeamPayers,
  toPayerValues,
} from './team-payers.ts'

/** The conversation as read for a send. */
export type SendableConversation = {
  ref: ConversationRef
  ownerId: string
  /** The sender's. */
  role: ConversationRole
  /** Whether the sender, who does not own it, has sent a message in it. Null for its owner. */
  hasSent: boolean | null
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
  payment: ConversationPayment
  /** The newest whole messages from `historyStart` on; send-histories.ts has those before them. */
  history: SendablePage
}

/** Who pays for messages in a conversation, unless a call says otherwise. */
export type ConversationPayment = {
  /** Null: each sender pays. */
  teamId: string | null
  teamName: string | null
  /** Whether the sender is in that team, and it is in use. */
  isMember: boolean
  /** Whether only that team's key may be used in it. */
  isTeamOnly: boolean
}

export type TurnContext = SenderContext & {
  /** Of what was read, for a statement that compares them. `conversation`: null without one. */
  versions: Versions
  /** Undefined when none was requested, or when the session reaches none with that id. */
  conversation: SendableConversation | undefined
  /** Of the team that the call names, or that pays in the conversation, where it was read as well. */
  purse?: TeamPurse | undefined
}

export type Versions = { sender: string; conversation: string | null }

/** Without a conversation the columns of one are null, and `id` says so. */
export type TurnContextRow = Omit<SendableConversation, 'ref' | 'history' | 'payment'> &
  SenderRow & {
    place: number
    senderVersion: string
    version: string | null
    payingTeamId: string | null
    payingTeam: string | null
    isPayingMember: boolean
    isTeamOnly: boolean
    id: string | null
    sealedFor: string
    dataKey: Buffer
    history: [
      isWhole: boolean,
      messages: [id: string, position: number, role: string, content: string | null][],
    ]
    purse?: PurseRow | null
  }

/** Limits for the messages that are read with it: many sends may be in one batch. */
const MOST_MESSAGES = 200
const MOST_BYTES = 256 * 1024

type AskedSend = Reach & PayerValues & { conversationId: string | null }

const COLUMNS = {
  userId: 'uuid',
  sessionId: 'uuid',
  readsAll: 'boolean',
  conversationId: 'uuid',
}
const asked = jsonRows(COLUMNS)
const askedOfTeams = jsonRows({ ...COLUMNS, ...PAYER_COLUMNS })

/** Of {@link sendableConversation}, the part of a {@link TurnContextRow}. */
export const CONVERSATION_COLUMNS = `
    ${SENDER_VERSION} as sender_version,
    c.version,
    c.id,
    c.user_id as owner_id,
    c.role,
    case when c.role <> 'owner' then exists (
      select from messages own where own.conversation_id = c.id and own.sender_id = a.user_id
    ) end as has_sent,
    ${refColumns('c')},
    c.system_prompt,
    c.model,
    c.message_count,
    c.running_message_id,
    c.history_start,
    c.history_omitted,
    c.is_listed,
    ${payingTeam('c')} as paying_team_id,
    case when c.payer = 'team' then (select t.name from teams t where t.id = c.paying_team_id) end
      as paying_team,
    c.payer = 'team' and ${isInTeam('c.paying_team_id', 'a.user_id')} as is_paying_member,
    c.payers = 'team_only' as is_team_only,
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
            and m.status = 'complete'
          order by m.position desc
          limit ${MOST_MESSAGES + 1}
        ) as newest
        window newest_first as (order by position desc)
      ) as history
    ) as history`

/**
 * A table for a `left join`, as `c`, beside those of a sender: for each row of `a` the conversation
 * that it names, if its user has access and its session reaches it.
 *
 * @param isRead SQL for whether it is read at all.
 */
export const sendableConversation = (isRead = 'true') => `
  ${accessibleConversation('a.conversation_id', 'a.user_id')} as c
    on ${isRead} and ${isReached('c', 's', 'a.reads_all')}`

const contexts = (sends: string, also = '') => `
  select
    a.place,${SENDER_COLUMNS},${CONVERSATION_COLUMNS}${also}
  from ${sends}${SENDER_TABLES}
  left join ${sendableConversation()}`

const loadTurnContexts = prepare<{ sends: string }, TurnContextRow>('load_turn_context', (value) =>
  contexts(asked.as('a', value('sends', 'json'))),
)

const loadTeamTurnContexts = prepare<{ sends: string }, TurnContextRow>(
  'load_team_turn_context',
  (value) => contexts(askedOfTeams.as('a', value('sends', 'json')), PURSE_COLUMN),
)

export class TurnContextRepository {
  readonly #db: Kysely<Schema>
  readonly #teamPayers: TeamPayers
  readonly #openings = new Batcher<AskedSend, TurnContextRow | undefined>({
    run: (sends) => this.#openTogether(sends),
  })
  readonly #teamOpenings = new Batcher<AskedSend, TurnContextRow | undefined>({
    run: (sends) => this.#openForTeams(sends),
  })

  constructor(db: Kysely<Schema>, teamPayers: TeamPayers) {
    this.#db = db
    this.#teamPayers = teamPayers
  }

  /**
   * Undefined when the user no longer exists.
   *
   * @param payer whom the call has pay; undefined: it names no payer.
   */
  async find(
    reach: Reach,
    conversationId: string | undefined,
    payer?: NamedPayer,
  ): Promise<TurnContext | undefined> {
    const send = { ...reach, conversationId: conversationId ?? null, ...toPayerValues(payer) }
    const openings = this.#teamPayers.mayPay(send) ? this.#teamOpenings : this.#openings
    const row = await openings.load(send)
    const context = row && toTurnContext(row)
    if (context) this.#teamPayers.note(context)
    return context
  }

  async #openTogether(sends: readonly AskedSend[]): Promise<(TurnContextRow | undefined)[]> {
    return inPlaces(sends, await loadTurnContexts(this.#db, { sends: asked.toJson(sends) }))
  }

  async #openForTeams(sends: readonly AskedSend[]): Promise<(TurnContextRow | undefined)[]> {
    return inPlaces(
      sends,
      await loadTeamTurnContexts(this.#db, { sends: askedOfTeams.toJson(sends) }),
    )
  }
}

export const toTurnContext = (row: TurnContextRow): TurnContext => ({
  ...toSenderContext(row),
  versions: { sender: row.senderVersion, conversation: row.version },
  conversation: row.id === null ? undefined : toConversation(row, row.id),
  ...(row.purse && { purse: toPurse(row.purse) }),
})

function toConversation(row: TurnContextRow, id: string): SendableConversation {
  const {
    ownerId,
    role,
    hasSent,
    sealedFor,
    dataKey,
    systemPrompt,
    model,
    messageCount,
    runningMessageId,
  } = row
  const { historyStart, historyOmitted, isListed } = row
  return {
    ref: toConversationRef({ id, sealedFor, dataKey }),
    ownerId,
    role,
    hasSent,
    systemPrompt,
    model,
    messageCount,
    runningMessageId,
    historyStart,
    historyOmitted,
    isListed,
    payment: {
      teamId: row.payingTeamId,
      teamName: row.payingTeam,
      isMember: row.isPayingMember,
      isTeamOnly: row.isTeamOnly,
    },
    history: toHistory(row.history),
  }
}

/** All contents are in one allocation of their own, since the history may be kept (own-bytes.ts). */
function toHistory([isWhole, newest]: TurnContextRow['history']): SendablePage {
  const bytes = newest.reduce((sum, [, , , content]) => sum + decodedBytesAtMost(content), 0)
  const all = Buffer.allocUnsafeSlow(bytes)
  let end = 0
  const decoded = (content: string) => {
    const start = end
    end += all.write(content, start, 'base64')
    return all.subarray(start, end)
  }
  const messages = newest.map(([id, position, role, content]) => ({
    id,
    position,
    role,
    content: content === null ? null : decoded(content),
  }))
  return { messages, isWhole }
}

/** PostgreSQL breaks base64 into lines. */
const decodedBytesAtMost = (base64: string | null) =>
  base64 === null ? 0 : Buffer.byteLength(base64, 'base64')
