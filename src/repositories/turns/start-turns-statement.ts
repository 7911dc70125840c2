/** The SQL of start-turns.ts, which documents its guarantees and lock order. */

import { byteRows } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { isGrantedTo, isOwnedBy, mayContinue, payingTeam } from '../access/conversation-access.ts'
import type { ConversationRef } from '../access/conversation-ref.ts'
import { COUNT_UP, IS_USE_TO_BE_NOTED } from '../access/session-checks.ts'
import {
  asker,
  type Books,
  GRANT_RESULT,
  isRefused,
  isUnprepared,
  OF_SENDER,
  RESERVING_COLUMNS,
  refusal,
} from '../billing/reservation-sql.ts'
import type { Grant, GrantRow, Refusal } from '../billing/reservation-values.ts'
import { SENDER_TABLES, SENDER_VERSION } from '../billing/sender-context.ts'
import {
  IS_CONTENDED,
  IS_PAYER_GONE,
  OF_TEAM,
  payerOf,
  TEAM_RESERVING_COLUMNS,
} from '../billing/team-reservation-sql.ts'
import { purseVersionOf } from '../teams/purse-sql.ts'

export type StartOutcome =
  | ({ outcome: 'begun' } & Grant & BegunConversation)
  | Refusal
  /** `session_ended`: also when it may no longer send messages. */
  | { outcome: 'not_found' | 'busy' | 'session_ended' }
  /** The user's storage has no room for the message. */
  | { outcome: 'full' }
  /** Another turn came in between: the history has to be read again. */
  | { outcome: 'stale' }
  /**
   * The team, the membership, its key or the session's leave to spend its money is gone; or who pays
   * in the conversation was changed.
   */
  | { outcome: 'payer_gone' }
  /** Another turn has the same idempotency key. */
  | { outcome: 'duplicate_key' }

/** `version`: of the conversation's row, as the statement has left it. `ref`: of a new one. */
export type BegunConversation = { version: string; ref: ConversationRef | undefined }

/**
 * `unprepared`: rows of spending that have to be locked do not exist yet. `contended`: has to be asked
 * alone (team-reservation-sql.ts).
 */
type Outcome = Exclude<StartOutcome['outcome'], 'duplicate_key'> | 'unprepared' | 'contended'

export type BeginningRow = GrantRow & { outcome: Outcome; version: string }

/** `hits`: null unless it has begun, and nothing was read before. */
export type RememberedBeginningRow = Omit<BeginningRow, 'outcome'> & {
  /** `not_begun`: the sender or the team is not as remembered, or there were too many requests. */
  outcome: Outcome | 'not_begun'
  hits: number | null
  resetAt: Date | null
  isUseToBeNoted: boolean
}

const COLUMNS = {
  readsAll: 'boolean',
  conversationId: 'uuid',
  isNew: 'boolean',
  dataKey: 'bytea',
  title: 'bytea',
  conversationModel: 'text',
  messageCount: 'integer',
  userMessageId: 'uuid',
  answerId: 'uuid',
  content: 'bytea',
  tokenCount: 'integer',
  model: 'text',
  idempotencyHash: 'bytea',
  requestFingerprint: 'bytea',
  replicaId: 'uuid',
  leaseSeconds: 'float8',
  tag: 'text',
  keyLastFour: 'text',
  isPayerNamed: 'boolean',
  conversationPayer: 'uuid',
  newBytes: 'bigint',
  limitBytes: 'bigint',
}

const REMEMBERED_COLUMNS = {
  senderVersion: 'text',
  conversationVersion: 'text',
  counterKey: 'text',
  windowSeconds: 'float8',
  requestLimit: 'bigint',
}

export const askedTurns = byteRows({ ...RESERVING_COLUMNS, ...COLUMNS })
export const askedRememberedTurns = byteRows({
  ...RESERVING_COLUMNS,
  ...COLUMNS,
  ...REMEMBERED_COLUMNS,
})
export const askedTeamTurns = byteRows({
  ...TEAM_RESERVING_COLUMNS,
  ...COLUMNS,
  ...REMEMBERED_COLUMNS,
  purseVersion: 'text',
})

/** What a statement does besides, where a team pays. */
type Paying = {
  asked: { as(alias: string, rows: string, bytes: string): string }
  books: Books
  /** Locks what the payer's consent rests on. */
  payers: string
  isPayerGone: string
  isContended: string
  /** SQL for the id of the team that pays; null: the sender does. */
  team: string
  /** Columns of the answer, with SQL for their values. */
  answerColumns: Record<string, string>
  unread?: Unread
}

/** What it does besides for turns of which nothing was read before. */
type Unread = {
  /** Reads the sender's version, and locks what counts the request. */
  parts: string
  isStale: string
  counted: string
  resultColumns: string
  resultTables: string
}

const READ: Unread = { parts: '', isStale: '', counted: '', resultColumns: '', resultTables: '' }

const beginningOf = <Row = BeginningRow>(
  name: string,
  { asked, books, payers, isPayerGone, isContended, team, answerColumns, unread = READ }: Paying,
) =>
  prepare<{ rows: string; bytes: Buffer; lockLimit: string }, Row>(
    name,
    (value) => `
  with asked as materialized (
    select a.* from ${asked.as('a', value('rows', 'json'), value('bytes', 'bytea'))},
      set_config('lock_timeout', ${value('lockLimit', 'text')}, true)
  ),${asker('messages:send')},${books.remainingRoom},
  conversation as (
    select a.place, a.user_id as sender_id, c.user_id as owner_id, c.id, c.running_message_id,
      c.message_count, c.xmin::text as version, ${payingTeam('c')} as paying_team_id, c.payers
    from asked a
    join remaining r on r.place = a.place and r.books = a.books
    join asker s on s.place = a.place
    join conversations c on c.id = a.conversation_id and ${mayContinue('c', 's', 'a.reads_all')}
    order by c.id
    for update of c
  ),
  granted as (
    select c.place, c.sender_id, g.team_id
    from conversation c
    join conversation_grants g on g.conversation_id = c.id and g.role = 'contributor'
      and ${isGrantedTo('g', 'c.sender_id')}
    where c.sender_id <> c.owner_id
    order by g.id
    for share of g
  ),
  teammate as (
    select g.place, t.id as team_id
    from granted g
    join teams t on t.id = g.team_id and t.archived_at is null
    join team_members m on m.team_id = t.id and m.user_id = g.sender_id
    order by t.id, m.user_id
    for share of t, m
  ),${payers}${unread.parts}
  stored as (
    select a.place, s.bytes
    from asked a
    join remaining r on r.place = a.place and r.books = a.books
    left join conversation c on c.place = a.place
    join storage s on s.user_id = coalesce(c.owner_id, a.user_id)
    where a.limit_bytes is not null
    order by s.user_id
    for update of s
  ),
  verdict as materialized (
    select
      a.*,
      case
        when s.id is null then 'session_ended'
        when ${isUnprepared} then 'unprepared'
        when c.message_count is null and not a.is_new then 'not_found'
        when c.owner_id <> a.user_id and not exists (
          select from granted g left join teammate t using (place, team_id)
          where g.place = a.place and (g.team_id is null or t.team_id is not null)
        ) then 'not_found'
        ${isPayerGone}when c.id is not null and (
          not a.is_payer_named and c.paying_team_id is distinct from a.conversation_payer
          or c.payers = 'team_only' and c.paying_team_id is distinct from ${team}
        ) then 'payer_gone'
        when c.running_message_id is not null then 'busy'
        when c.message_count <> a.message_count then 'stale'
        ${unread.isStale}when coalesce(st.bytes, 0) + a.new_bytes > a.limit_bytes then 'full'
        ${isContended}when ${isRefused} then ${refusal}
        else 'begun'
      end as outcome,
      coalesce(c.owner_id, a.user_id) as owner_id,${books.grantColumns}
    from asked a
    left join asker s using (place)
    left join remaining r using (place)
    left join stored st using (place)
    left join conversation c using (place)
  ),
  begun as materialized (
    select * from verdict where outcome = 'begun'
  ),${books.reserved},${unread.counted}
  new_conversation as (
    insert into conversations
      (id, user_id, data_key, title, model, running_message_id, message_count, session_id)
    select b.conversation_id, b.user_id, b.data_key, b.title, b.conversation_model, b.answer_id, 2,
      b.session_id
    from begun b where b.is_new
  ),
  updated_conversation as (
    update conversations c set
      running_message_id = b.answer_id,
      message_count = c.message_count + 2,
      title = case when c.title_by = 'user' then c.title else coalesce(b.title, c.title) end,
      is_listed = c.is_listed or b.title is not null,
      archived_at = case when b.user_id <> b.owner_id then c.archived_at end
    from begun b
    where c.id = b.conversation_id and ${isOwnedBy('c', 'b.owner_id')} and not b.is_new
  ),
  unarchived as (
    update conversation_marks k set archived_at = null
    from begun b
    where b.user_id <> b.owner_id and k.user_id = b.user_id
      and k.conversation_id = b.conversation_id and k.archived_at is not null
  ),
  question as (
    insert into messages
      (id, conversation_id, user_id, sender_id, position, role, status, model, content, token_count)
    select b.user_message_id, b.conversation_id, b.owner_id, nullif(b.user_id, b.owner_id),
      b.message_count + 1, 'user', 'running', b.model, b.content, b.token_count
    from begun b
  ),
  answer as (
    insert into messages
      (id, conversation_id, user_id, sender_id, position, role, status, model, idempotency_hash,
      request_fingerprint, replica_id, lease_expires_at, tag, key_last_four,
      ${Object.keys(answerColumns)
        .map((column) => `${column}, `)
        .join('')}reservation)
    select b.answer_id, b.conversation_id, b.owner_id, nullif(b.user_id, b.owner_id),
      b.message_count + 2, 'assistant', 'running', b.model, b.idempotency_hash,
      b.request_fingerprint, b.replica_id,
      now() + make_interval(secs => b.lease_seconds), b.tag, b.key_last_four,
      ${Object.values(answerColumns)
        .map((sql) => `${sql}, `)
        .join('')}${books.storedReservation}
    from begun b
  )
  select outcome, ${GRANT_RESULT},
    pg_current_xact_id()::xid::text as version${unread.resultColumns}
  from verdict${unread.resultTables}
  order by place`,
  )

const BY_SENDER = {
  books: OF_SENDER,
  payers: '',
  isPayerGone: '',
  isContended: '',
  team: 'null',
  answerColumns: {},
}

/** Turns of different users, who pay for them. */
export const beginTurns = beginningOf('begin_turns', {
  asked: askedTurns,
  ...BY_SENDER,
})

/**
 * For turns of which nothing was read before: they begin only if what is remembered of them is what a
 * statement would read now, and if the users' requests, which are counted here, are not too many. The
 * counters are locked last, by their keys. Of a turn that was read before, `senderVersion` is null.
 *
 * @param purse what else is remembered: SQL for columns of `sender`, and for whether it has changed.
 */
const unreadOf = ({ columns, isOther } = { columns: '', isOther: '' }): Unread => ({
  parts: `
  sender as (
    select a.place, ${SENDER_VERSION} as version, ${IS_USE_TO_BE_NOTED} as is_use_to_be_noted${columns}
    from asked a${SENDER_TABLES}
    where a.sender_version is not null
  ),
  request as (
    select a.place, q.hits, q.reset_at
    from asked a
    join remaining r on r.place = a.place and r.books = a.books
    join rate_limits q on q.key = a.counter_key
    order by q.key
    for update of q
  ),`,
  isStale: `when c.version <> a.conversation_version then 'stale'
        when a.sender_version is not null and not exists (
          select from sender v
          where v.place = a.place and v.version = a.sender_version${isOther}
        ) or exists (
          select from request q
          where q.place = a.place and q.reset_at > now() and q.hits >= a.request_limit
        ) then 'not_begun'
        `,
  counted: `
  counted as (
    insert into rate_limits as r (key, hits, reset_at)
    select b.counter_key, 1, now() + make_interval(secs => b.window_seconds)
    from begun b
    where b.counter_key is not null
    order by 1${COUNT_UP}
  ),`,
  resultColumns: ', q.hits, q.reset_at, v.is_use_to_be_noted',
  resultTables: `
  left join counted q on q.key = verdict.counter_key
  left join sender v using (place)`,
})

/** Turns of different users, who pay for them, of which nothing was read before. */
export const beginRememberedTurns = beginningOf<RememberedBeginningRow>('begin_remembered_turns', {
  asked: askedRememberedTurns,
  ...BY_SENDER,
  unread: unreadOf(),
})

/** Turns of different users, for which teams pay: of some nothing was read before. */
export const beginTeamTurns = beginningOf<RememberedBeginningRow>('begin_team_turns', {
  asked: askedTeamTurns,
  books: OF_TEAM,
  payers: `${payerOf('\n    left join conversation c on c.place = a.place')},`,
  isPayerGone: IS_PAYER_GONE,
  isContended: IS_CONTENDED,
  team: 'a.team_id',
  answerColumns: { payer: `'team'`, paying_team_id: 'b.team_id' },
  unread: unreadOf({
    columns: `,
      ${purseVersionOf('t.id = a.team_id')} as purse_version`,
    isOther: ' and v.purse_version = a.purse_version',
  }),
})
