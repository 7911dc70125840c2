/** The SQL of start-turns.ts, which documents its guarantees and lock order. */

import { jsonRows } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { isLive, isReached, mayDo } from '../access/reach.ts'
import type { BudgetPeriod } from '../billing/budgets.ts'

/** The limit that was exceeded: the user's own budget, or the cap of the connection that asks. */
export type Limited = { period: BudgetPeriod; by: 'user' | 'connection' }

export type StartOutcome =
  | { outcome: 'begun'; maxTokens: number; nanoUsd: string; tokens: number }
  | { outcome: 'exceeded'; limited: Limited }
  /** `session_ended`: also when it may no longer send messages. */
  | { outcome: 'not_found' | 'busy' | 'session_ended' }
  /** The user's storage has no room for the message. */
  | { outcome: 'full' }
  /** Another turn came in between: the history has to be read again. */
  | { outcome: 'stale' }

/** `unprepared`: rows of spending that have to be locked do not exist yet. */
type Outcome = StartOutcome['outcome'] | 'unprepared'

export type BeginningRow = {
  outcome: Outcome
  maxTokens: number
  nanoUsd: string
  tokens: string
  limitedBy: 'month' | 'connection' | 'day'
}

const COLUMNS = {
  userId: 'uuid',
  sessionId: 'uuid',
  readsAll: 'boolean',
  connectionId: 'uuid',
  books: 'integer',
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
  day: 'date',
  month: 'date',
  dayNanoUsd: 'bigint',
  dayTokens: 'bigint',
  monthNanoUsd: 'bigint',
  monthTokens: 'bigint',
  connectionNanoUsd: 'bigint',
  inputTokens: 'bigint',
  inputNanoUsd: 'bigint',
  outputNanoUsd: 'bigint',
  maxTokens: 'bigint',
  leastTokens: 'bigint',
  newBytes: 'bigint',
  limitBytes: 'bigint',
}

export const askedTurns = jsonRows(COLUMNS)

/** How many of the wanted output tokens the budget has room for; -1 when the input does not fit. */
const remainingTokens = (book: string, nanoUsd: string, tokens?: string) => {
  const nanoUsdLeft = `${nanoUsd} - ${book}.spent_nano_usd - ${book}.reserved_nano_usd - a.input_nano_usd`
  return `least(
    a.max_tokens,
    ${tokens ? `${tokens} - ${book}.spent_tokens - ${book}.reserved_tokens - a.input_tokens,` : ''}
    case
      when a.output_nano_usd is null then null
      when ${nanoUsdLeft} < 0 then -1
      else (${nanoUsdLeft}) / nullif(a.output_nano_usd, 0)
    end
  )`
}

/** Turns of different users. */
export const beginTurns = prepare<{ turns: string; lockLimit: string }, BeginningRow>(
  'begin_turns',
  (value) => `
  with asked as materialized (
    select a.* from ${askedTurns.as('a', value('turns', 'json'))},
      set_config('lock_timeout', ${value('lockLimit', 'text')}, true)
  ),
  asker as (
    select a.place, s.id, s.scopes
    from asked a
    join sessions s on s.id = a.session_id and s.user_id = a.user_id
    where ${isLive('s')} and ${mayDo('s', 'messages:send')}
    order by s.id
    for share of s
  ),
  locked_budgets as (
    select a.place, s.period as book, case s.period
        when 'day' then ${remainingTokens('s', 'a.day_nano_usd', 'a.day_tokens')}
        else ${remainingTokens('s', 'a.month_nano_usd', 'a.month_tokens')}
      end as tokens
    from asked a
    join asker using (place)
    join spending s on s.user_id = a.user_id
      and ((s.period = 'day' and s.starts_on = a.day)
        or (s.period = 'month' and s.starts_on = a.month))
    order by s.user_id, s.period
    for update of s
  ),
  locked_connection_budgets as (
    select a.place, 'connection' as book, ${remainingTokens('c', 'a.connection_nano_usd')} as tokens
    from asked a
    join connection_spending c on c.session_id = a.connection_id and c.starts_on = a.month
    where (select count(*) from locked_budgets t where t.place = a.place) = 2
    order by c.session_id
    for update of c
  ),
  remaining as (
    select place, count(*) as books, min(tokens) as tokens,
      min(tokens) filter (where book = 'month') as in_month,
      min(tokens) filter (where book = 'connection') as in_connection
    from (select * from locked_budgets union all select * from locked_connection_budgets) as books
    group by place
  ),
  stored as (
    select a.place, s.bytes
    from asked a
    join remaining r on r.place = a.place and r.books = a.books
    join storage s on s.user_id = a.user_id
    where a.limit_bytes is not null
    order by s.user_id
    for update of s
  ),
  conversation as (
    select a.place, c.running_message_id, c.message_count
    from asked a
    join remaining r on r.place = a.place and r.books = a.books
    join asker s on s.place = a.place
    join conversations c on c.id = a.conversation_id and c.user_id = a.user_id
      and ${isReached('c', 's', 'a.reads_all')}
    order by c.id
    for update of c
  ),
  verdict as materialized (
    select
      a.*,
      case
        when s.id is null then 'session_ended'
        when r.books is distinct from a.books then 'unprepared'
        when c.message_count is null and not a.is_new then 'not_found'
        when c.running_message_id is not null then 'busy'
        when c.message_count <> a.message_count then 'stale'
        when coalesce(st.bytes, 0) + a.new_bytes > a.limit_bytes then 'full'
        when r.tokens < a.least_tokens then 'exceeded'
        else 'begun'
      end as outcome,
      case
        when r.in_month < a.least_tokens then 'month'
        when r.in_connection < a.least_tokens then 'connection'
        else 'day'
      end as limited_by,
      r.tokens as room_tokens,
      a.input_nano_usd + r.tokens * coalesce(a.output_nano_usd, 0) as worst_nano_usd,
      a.input_tokens + r.tokens as worst_tokens
    from asked a
    left join asker s using (place)
    left join remaining r using (place)
    left join stored st using (place)
    left join conversation c using (place)
  ),
  begun as materialized (
    select * from verdict where outcome = 'begun'
  ),
  reserved as (
    insert into spending as s (user_id, period, starts_on, reserved_nano_usd, reserved_tokens)
    select b.user_id, p.period, p.starts_on, b.worst_nano_usd, b.worst_tokens
    from begun b
    cross join lateral (values ('day', b.day), ('month', b.month)) as p (period, starts_on)
    on conflict (user_id, period, starts_on) do update set
      reserved_nano_usd = s.reserved_nano_usd + excluded.reserved_nano_usd,
      reserved_tokens = s.reserved_tokens + excluded.reserved_tokens
  ),
  reserved_by_connection as (
    insert into connection_spending as c (session_id, starts_on, reserved_nano_usd)
    select b.connection_id, b.month, b.worst_nano_usd
    from begun b where b.connection_id is not null
    on conflict (session_id, starts_on) do update set
      reserved_nano_usd = c.reserved_nano_usd + excluded.reserved_nano_usd
  ),
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
      title = coalesce(b.title, c.title),
      is_listed = true
    from begun b
    where c.id = b.conversation_id and c.user_id = b.user_id and not b.is_new
  ),
  question as (
    insert into messages
      (id, conversation_id, user_id, position, role, status, model, content, token_count)
    select b.user_message_id, b.conversation_id, b.user_id, b.message_count + 1, 'user', 'running',
      b.model, b.content, b.token_count
    from begun b
  ),
  answer as (
    insert into messages
      (id, conversation_id, user_id, position, role, status, model, idempotency_hash,
      request_fingerprint, replica_id, lease_expires_at, tag, reservation)
    select b.answer_id, b.conversation_id, b.user_id, b.message_count + 2, 'assistant', 'running',
      b.model, b.idempotency_hash, b.request_fingerprint, b.replica_id,
      now() + make_interval(secs => b.lease_seconds), b.tag,
      jsonb_build_object(
        'day', to_char(b.day, 'YYYY-MM-DD'),
        'month', to_char(b.month, 'YYYY-MM-DD'),
        'nanoUsd', b.worst_nano_usd::text,
        'tokens', b.worst_tokens,
        'likelyInputTokens', b.input_tokens,
        'maxTokens', b.room_tokens,
        'sessionId', b.session_id::text,
        'isConnection', b.connection_id is not null
      )
    from begun b
  )
  select outcome, greatest(room_tokens, -1)::integer as max_tokens, worst_nano_usd as nano_usd,
    worst_tokens as tokens, limited_by
  from verdict
  order by place`,
)

/** Before the first send of a day, month or connection's month: rows must exist to be locked. */
export const ensureSpendingRows = prepare<
  { userId: string; day: string; month: string; connectionId: string | null },
  never
>(
  'ensure_spending_rows',
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
