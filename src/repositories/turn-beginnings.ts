/**
 * How a turn begins, in one prepared statement and hence whole or not at all: the worst case is
 * reserved of every budget, the conversation is made or taken, and both messages are inserted.
 *
 * What was read before (send-openings.ts) may have changed since. So everything that decides is
 * looked at again here, under locks: the budgets first, day before month before connection, then
 * the conversation. All senders lock in this order, and the end of a turn (turn-endings.ts) in an
 * order that fits it, so no two wait for each other. A `for update` returns the newest version of
 * a row, whatever the statement's snapshot says (PostgreSQL documentation: Read Committed Isolation
 * Level); `verdict` is made of those alone, and every write is made only if it says `begun`.
 */

import type { Kysely } from 'kysely'
import { prepare } from '../database/prepared.ts'
import type { Schema } from '../database/schema.ts'
import type { BudgetPeriod, LimitSet, PayingPeriods } from './budgets.ts'

/** A turn as it begins: the user's message, and the place of the answer that is to come. */
export type NewTurn = {
  userId: string
  sessionId: string
  /** Whether the session is an MCP client's connection, which has books of its own. */
  isConnection: boolean
  conversationId: string
  /** For a new conversation; null to go on with one of the user's. */
  opening: { dataKey: Buffer; title: Buffer; model: string } | null
  /** What the conversation held when its history was read. 0 for a new one. */
  messageCount: number
  /** Sealed; undefined to keep the one it has. */
  systemPrompt: Buffer | null | undefined
  userMessageId: string
  answerId: string
  content: Buffer
  tokenCount: number
  model: string
  idempotencyHash: Buffer | null
  requestFingerprint: Buffer | null
  replicaId: string
  leaseSeconds: number
  tag: string | null
  periods: PayingPeriods
  limits: LimitSet
  worst: WorstCaseCost
}

/** What an answer may cost at most. */
export type WorstCaseCost = {
  inputTokens: number
  inputNanoUsd: bigint
  /** Of one token of output; null when the price is not known: then limits in USD do not count. */
  outputNanoUsd: number | null
  maxTokens: number
  /** With less room than this the turn does not begin. */
  leastTokens: number
  likelyInputTokens: number
}

/** Where a limit says no: the user's own budgets, or the cap of the connection that asks. */
export type Limited = { period: BudgetPeriod; by: 'user' | 'connection' }

export type Verdict =
  | { outcome: 'begun'; maxTokens: number; nanoUsd: string; tokens: number }
  | { outcome: 'exceeded'; limited: Limited }
  | { outcome: 'not_found' | 'busy' }
  /** Somebody else's turn came in between: the history has to be read again. */
  | { outcome: 'moved' }

type Outcome = Verdict['outcome'] | 'unprepared'

type Row = {
  outcome: Outcome
  maxTokens: number
  nanoUsd: string
  tokens: string
  limitedBy: 'month' | 'connection' | 'day'
}

const beginTurn = prepare<ReturnType<typeof toValues>, Row>(
  'begin_turn',
  (value) => `
  with taken as (
    select s.period as book, s.spent_nano_usd + s.reserved_nano_usd as nano_usd,
      s.spent_tokens + s.reserved_tokens as tokens
    from spending s
    where s.user_id = ${value('userId', 'uuid')}
      and ((s.period = 'day' and s.starts_on = ${value('day', 'date')})
        or (s.period = 'month' and s.starts_on = ${value('month', 'date')}))
    order by s.period
    for update
  ),
  taken_by_connection as (
    select 'connection' as book, c.spent_nano_usd + c.reserved_nano_usd as nano_usd,
      0::bigint as tokens
    from connection_spending c
    where c.session_id = ${value('connectionId', 'uuid')}
      and c.starts_on = ${value('month', 'date')}
      and (select count(*) from taken) = 2
    for update
  ),
  books as (
    select * from taken union all select * from taken_by_connection
  ),
  rooms as (
    select book, least(
      ${value('maxTokens', 'bigint')},
      l.tokens - b.tokens - ${value('inputTokens', 'bigint')},
      case
        when ${value('outputNanoUsd', 'bigint')} is null then null
        when l.nano_usd - b.nano_usd < ${value('inputNanoUsd', 'bigint')} then -1
        else (l.nano_usd - b.nano_usd - ${value('inputNanoUsd', 'bigint')})
          / nullif(${value('outputNanoUsd', 'bigint')}, 0)
      end
    ) as tokens
    from books b
    join (values
      ('day', ${value('dayNanoUsd', 'bigint')}, ${value('dayTokens', 'bigint')}),
      ('month', ${value('monthNanoUsd', 'bigint')}, ${value('monthTokens', 'bigint')}),
      ('connection', ${value('connectionNanoUsd', 'bigint')}, null)
    ) as l (book, nano_usd, tokens) using (book)
  ),
  room as (
    select count(*) as books, min(tokens) as tokens,
      min(tokens) filter (where book = 'month') as in_month,
      min(tokens) filter (where book = 'connection') as in_connection
    from rooms
  ),
  conversation as (
    select c.running_message_id, c.message_count
    from conversations c
    where c.id = ${value('conversationId', 'uuid')} and c.user_id = ${value('userId', 'uuid')}
      and (select books from room) = ${value('books', 'integer')}
    for update
  ),
  verdict as materialized (
    select
      case
        when r.books <> ${value('books', 'integer')} then 'unprepared'
        when c.message_count is null and not ${value('isNew', 'boolean')} then 'not_found'
        when c.running_message_id is not null then 'busy'
        when c.message_count <> ${value('messageCount', 'integer')} then 'moved'
        when r.tokens < ${value('leastTokens', 'bigint')} then 'exceeded'
        else 'begun'
      end as outcome,
      case
        when r.in_month < ${value('leastTokens', 'bigint')} then 'month'
        when r.in_connection < ${value('leastTokens', 'bigint')} then 'connection'
        else 'day'
      end as limited_by,
      r.tokens as max_tokens,
      ${value('inputNanoUsd', 'bigint')}
        + r.tokens * coalesce(${value('outputNanoUsd', 'bigint')}, 0) as nano_usd,
      ${value('inputTokens', 'bigint')} + r.tokens as tokens
    from room r left join conversation c on true
  ),
  begun as materialized (
    select * from verdict where outcome = 'begun'
  ),
  reserved as (
    insert into spending as s (user_id, period, starts_on, reserved_nano_usd, reserved_tokens)
    select ${value('userId', 'uuid')}, p.period, p.starts_on, begun.nano_usd, begun.tokens
    from begun cross join (values
      ('day', ${value('day', 'date')}),
      ('month', ${value('month', 'date')})
    ) as p (period, starts_on)
    on conflict (user_id, period, starts_on) do update set
      reserved_nano_usd = s.reserved_nano_usd + excluded.reserved_nano_usd,
      reserved_tokens = s.reserved_tokens + excluded.reserved_tokens
  ),
  reserved_by_connection as (
    insert into connection_spending as c (session_id, starts_on, reserved_nano_usd)
    select ${value('connectionId', 'uuid')}, ${value('month', 'date')}, begun.nano_usd
    from begun where ${value('connectionId', 'uuid')} is not null
    on conflict (session_id, starts_on) do update set
      reserved_nano_usd = c.reserved_nano_usd + excluded.reserved_nano_usd
  ),
  made as (
    insert into conversations
      (id, user_id, data_key, title, system_prompt, model, running_message_id, message_count)
    select ${value('conversationId', 'uuid')}, ${value('userId', 'uuid')},
      ${value('dataKey', 'bytea')}, ${value('title', 'bytea')}, ${value('systemPrompt', 'bytea')},
      ${value('conversationModel', 'text')}, ${value('answerId', 'uuid')}, 2
    from begun where ${value('isNew', 'boolean')}
  ),
  continued as (
    update conversations c set
      running_message_id = ${value('answerId', 'uuid')},
      message_count = c.message_count + 2,
      system_prompt = case
        when ${value('setsSystemPrompt', 'boolean')} then ${value('systemPrompt', 'bytea')}
        else c.system_prompt
      end
    from begun
    where c.id = ${value('conversationId', 'uuid')} and c.user_id = ${value('userId', 'uuid')}
      and not ${value('isNew', 'boolean')}
  ),
  question as (
    insert into messages
      (id, conversation_id, user_id, position, role, status, model, content, token_count)
    select ${value('userMessageId', 'uuid')}, ${value('conversationId', 'uuid')},
      ${value('userId', 'uuid')}, ${value('messageCount', 'integer')} + 1, 'user', 'running',
      ${value('model', 'text')}, ${value('content', 'bytea')}, ${value('tokenCount', 'integer')}
    from begun
  ),
  answer as (
    insert into messages
      (id, conversation_id, user_id, position, role, status, model, idempotency_hash,
      request_fingerprint, replica_id, lease_expires_at, tag, reservation)
    select ${value('answerId', 'uuid')}, ${value('conversationId', 'uuid')},
      ${value('userId', 'uuid')}, ${value('messageCount', 'integer')} + 2, 'assistant', 'running',
      ${value('model', 'text')}, ${value('idempotencyHash', 'bytea')},
      ${value('requestFingerprint', 'bytea')}, ${value('replicaId', 'uuid')},
      now() + make_interval(secs => ${value('leaseSeconds', 'float8')}), ${value('tag', 'text')},
      jsonb_build_object(
        'day', to_char(${value('day', 'date')}, 'YYYY-MM-DD'),
        'month', to_char(${value('month', 'date')}, 'YYYY-MM-DD'),
        'nanoUsd', begun.nano_usd::text,
        'tokens', begun.tokens,
        'likelyInputTokens', ${value('likelyInputTokens', 'bigint')},
        'sessionId', ${value('sessionId', 'uuid')}::text,
        'isConnection', ${value('connectionId', 'uuid')} is not null
      )
    from begun
  )
  select outcome, greatest(max_tokens, -1)::integer as max_tokens, nano_usd, tokens, limited_by
  from verdict`,
)

/** The first send of a day, a month, or a connection's month: what is locked has to be there. */
const openBooks = prepare<
  { userId: string; day: string; month: string; connectionId: string | null },
  never
>(
  'open_books',
  (value) => `
  with of_user as (
    insert into spending (user_id, period, starts_on)
    values (${value('userId', 'uuid')}, 'day', ${value('day', 'date')}),
      (${value('userId', 'uuid')}, 'month', ${value('month', 'date')})
    on conflict do nothing
  )
  insert into connection_spending (session_id, starts_on)
  select ${value('connectionId', 'uuid')}, ${value('month', 'date')}
  where ${value('connectionId', 'uuid')} is not null
  on conflict do nothing`,
)

export class TurnBeginningRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** @throws what the database throws for a second turn with one idempotency key. */
  async begin(turn: NewTurn): Promise<Verdict> {
    const values = toValues(turn)
    const first = await this.#beginOnce(values)
    if (first.outcome !== 'unprepared') return toVerdict(first)
    await openBooks(this.#db, values)
    return toVerdict(await this.#beginOnce(values))
  }

  async #beginOnce(values: ReturnType<typeof toValues>): Promise<Row> {
    const [row] = await beginTurn(this.#db, values)
    if (row === undefined) throw new Error('begin_turn: the statement returned no verdict')
    return row
  }
}

function toValues(turn: NewTurn) {
  const { periods, limits, worst, opening, systemPrompt } = turn
  const connectionId = turn.isConnection ? turn.sessionId : null
  return {
    userId: turn.userId,
    sessionId: turn.sessionId,
    connectionId,
    /** How many rows of spending the turn answers to. */
    books: connectionId === null ? 2 : 3,
    conversationId: turn.conversationId,
    isNew: opening !== null,
    dataKey: opening?.dataKey ?? null,
    title: opening?.title ?? null,
    conversationModel: opening?.model ?? null,
    messageCount: turn.messageCount,
    systemPrompt: systemPrompt ?? null,
    setsSystemPrompt: systemPrompt !== undefined,
    userMessageId: turn.userMessageId,
    answerId: turn.answerId,
    content: turn.content,
    tokenCount: turn.tokenCount,
    model: turn.model,
    idempotencyHash: turn.idempotencyHash,
    requestFingerprint: turn.requestFingerprint,
    replicaId: turn.replicaId,
    leaseSeconds: turn.leaseSeconds,
    tag: turn.tag,
    day: periods.day,
    month: periods.month,
    dayNanoUsd: text(limits.day.nanoUsd),
    dayTokens: text(limits.day.tokens),
    monthNanoUsd: text(limits.month.nanoUsd),
    monthTokens: text(limits.month.tokens),
    connectionNanoUsd: text(limits.connectionNanoUsd),
    inputTokens: String(worst.inputTokens),
    inputNanoUsd: String(worst.inputNanoUsd),
    outputNanoUsd: text(worst.outputNanoUsd),
    maxTokens: String(worst.maxTokens),
    leastTokens: String(worst.leastTokens),
    likelyInputTokens: String(worst.likelyInputTokens),
  }
}

/** 64 bits travel as decimal text. */
const text = (value: bigint | number | null) => (value === null ? null : String(value))

function toVerdict({ outcome, maxTokens, nanoUsd, tokens, limitedBy }: Row): Verdict {
  if (outcome === 'begun') return { outcome, maxTokens, nanoUsd, tokens: Number(tokens) }
  if (outcome === 'exceeded') return { outcome, limited: toLimited(limitedBy) }
  if (outcome === 'unprepared') throw new Error('begin_turn: the rows of spending are not there')
  return { outcome }
}

const toLimited = (limitedBy: Row['limitedBy']): Limited =>
  limitedBy === 'connection'
    ? { period: 'month', by: 'connection' }
    : { period: limitedBy, by: 'user' }
