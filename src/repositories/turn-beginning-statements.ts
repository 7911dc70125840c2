/** The SQL of turn-beginnings.ts, where its promises and the order of its locks are told. */

import { prepare } from '../database/prepared.ts'
import type { BeginningValues, Verdict } from './turn-beginnings.ts'

/** `unprepared`: rows of spending that have to be locked are not there yet. */
type Outcome = Verdict['outcome'] | 'unprepared'

export type BeginningRow = {
  outcome: Outcome
  maxTokens: number
  nanoUsd: string
  tokens: string
  limitedBy: 'month' | 'connection' | 'day'
}

export const beginTurn = prepare<BeginningValues, BeginningRow>(
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
export const openBooks = prepare<
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
