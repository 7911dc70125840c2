/** The SQL of finish-turns.ts, which documents its guarantees and lock order. */

import { jsonRows } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { isLive } from '../access/reach.ts'
import type { BudgetPeriod } from '../billing/budgets.ts'

/** The used percentage of each limit that is nearly used up. */
export type UsedShares = Partial<Record<BudgetPeriod | 'connection', number>>

const COLUMNS = {
  answerId: 'uuid',
  conversationId: 'uuid',
  userId: 'uuid',
  sessionId: 'uuid',
  connectionId: 'uuid',
  day: 'date',
  month: 'date',
  reservedNanoUsd: 'bigint',
  reservedTokens: 'bigint',
  spentNanoUsd: 'bigint',
  spentTokens: 'bigint',
  dayNanoUsd: 'bigint',
  dayTokens: 'bigint',
  monthNanoUsd: 'bigint',
  monthTokens: 'bigint',
  connectionNanoUsd: 'bigint',
  leastPercent: 'integer',
  status: 'text',
  content: 'bytea',
  stopSequence: 'bytea',
  model: 'text',
  tokenCount: 'integer',
  result: 'jsonb',
  errorCode: 'text',
  requestId: 'text',
  durationMs: 'integer',
  upstreamMs: 'integer',
  keepsIdempotencyKey: 'boolean',
  isBilled: 'boolean',
  inputTokens: 'integer',
  outputTokens: 'integer',
  thinkingTokens: 'integer',
  cacheReadTokens: 'integer',
  cacheWrite5mTokens: 'integer',
  cacheWrite1hTokens: 'integer',
  unitPrices: 'jsonb',
  costNanoUsd: 'bigint',
  estimated: 'text',
  tag: 'text',
  conversationModel: 'text',
  historyStart: 'integer',
  systemPrompt: 'bytea',
  setsSystemPrompt: 'boolean',
  isForgotten: 'boolean',
  blankTitle: 'bytea',
}

export const askedEndings = jsonRows(COLUMNS)

export type EndingRow = { place: number; used: UsedShares | null; isAskerLive: boolean }

/** Turns of different users. Returns a row for each turn that was running. */
export const endTurns = prepare<{ turns: string; lockLimit: string }, EndingRow>(
  'end_turns',
  (value) => `
  with asked as materialized (
    select a.* from ${askedEndings.as('a', value('turns', 'json'))},
      set_config('lock_timeout', ${value('lockLimit', 'text')}, true)
  ),
  running as (
    select a.*, m.position
    from asked a join messages m on m.id = a.answer_id
    where m.status = 'running'
    order by m.id
    for update of m
  ),
  settled as (
    insert into spending as s (user_id, period, starts_on, reserved_nano_usd, reserved_tokens,
      spent_nano_usd, spent_tokens)
    select r.user_id, p.period, p.starts_on, - r.reserved_nano_usd, - r.reserved_tokens,
      r.spent_nano_usd, r.spent_tokens
    from running r
    cross join lateral (values ('day', r.day), ('month', r.month)) as p (period, starts_on)
    order by 1, 2
    on conflict (user_id, period, starts_on) do update set
      reserved_nano_usd = s.reserved_nano_usd + excluded.reserved_nano_usd,
      reserved_tokens = s.reserved_tokens + excluded.reserved_tokens,
      spent_nano_usd = s.spent_nano_usd + excluded.spent_nano_usd,
      spent_tokens = s.spent_tokens + excluded.spent_tokens
    returning user_id, period, spent_nano_usd, spent_tokens
  ),
  settled_by_connection as (
    update connection_spending c set
      reserved_nano_usd = c.reserved_nano_usd - r.reserved_nano_usd,
      spent_nano_usd = c.spent_nano_usd + r.spent_nano_usd
    from running r
    where c.session_id = r.connection_id and c.starts_on = r.month
      and (select count(*) from settled s where s.user_id = r.user_id) = 2
    returning r.place, c.spent_nano_usd
  ),
  shares as (
    select r.place, s.period, greatest(
      s.spent_nano_usd * 100
        / nullif(case s.period when 'day' then r.day_nano_usd else r.month_nano_usd end, 0),
      s.spent_tokens * 100
        / nullif(case s.period when 'day' then r.day_tokens else r.month_tokens end, 0)
    ) as percent, r.least_percent
    from running r join settled s using (user_id)
    union all
    select r.place, 'connection',
      c.spent_nano_usd * 100 / nullif(r.connection_nano_usd, 0), r.least_percent
    from running r join settled_by_connection c using (place)
  ),
  used as materialized (
    select r.place, jsonb_object_agg(s.period, s.percent) filter (where s.percent >= r.least_percent)
      as shares
    from running r left join shares s using (place)
    group by r.place
  ),
  answer as (
    update messages m set
      status = r.status,
      content = r.content,
      stop_sequence = r.stop_sequence,
      model = r.model,
      token_count = r.token_count,
      result = r.result || case
        when used.shares is null then '{}'
        else jsonb_build_object('budget_used', used.shares)
      end,
      error_code = r.error_code,
      request_id = r.request_id,
      finished_at = now(),
      duration_ms = r.duration_ms,
      upstream_ms = r.upstream_ms,
      replica_id = null,
      lease_expires_at = null,
      reservation = null,
      tag = case when not r.is_forgotten then m.tag end,
      idempotency_hash = case when r.keeps_idempotency_key then m.idempotency_hash end
    from running r join used using (place)
    where m.id = r.answer_id
  ),
  question as (
    update messages m set
      status = r.status,
      finished_at = now(),
      content = case when not r.is_forgotten then m.content end
    from running r
    where m.conversation_id = r.conversation_id and m.position = r.position - 1
  ),
  booked as (
    insert into ledger (user_id, conversation_id, message_id, model, input_tokens,
      cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens,
      thinking_tokens, unit_prices, cost_nano_usd, estimated, request_id, tag, booked_on,
      session_id)
    select r.user_id, r.conversation_id, r.answer_id, r.model, r.input_tokens,
      r.cache_write5m_tokens, r.cache_write1h_tokens, r.cache_read_tokens, r.output_tokens,
      r.thinking_tokens, r.unit_prices, r.cost_nano_usd, r.estimated, r.request_id, r.tag, r.day,
      r.session_id
    from running r
    where r.is_billed
    on conflict (message_id) do nothing
  ),
  forgotten as (
    insert into forgotten_turns (answer_id, conversation_id, user_id)
    select r.answer_id, r.conversation_id, r.user_id from running r where r.is_forgotten
    on conflict do nothing
  ),
  emptied as materialized (
    select r.place
    from running r
    where case when r.is_forgotten then not exists (
      select from messages kept
      where kept.conversation_id = r.conversation_id and kept.position < r.position - 1
        and kept.role = 'user' and kept.content is not null
    ) else false end
  ),
  released as (
    update conversations c set
      running_message_id = null,
      updated_at = now(),
      model = coalesce(r.conversation_model, c.model),
      system_prompt = case when r.sets_system_prompt then r.system_prompt else c.system_prompt end,
      title = case when emptied.place is null then c.title else r.blank_title end,
      is_listed = emptied.place is null,
      history_start = coalesce(r.history_start, c.history_start),
      history_omitted = c.history_omitted + case
        when r.history_start is null then 0
        else (
          select count(*) from messages cut
          where cut.conversation_id = c.id and cut.status = 'complete'
            and cut.position >= c.history_start and cut.position < r.history_start
        )
      end
    from running r join used using (place) left join emptied using (place)
    where c.id = r.conversation_id and c.running_message_id = r.answer_id
  )
  select place, shares as used,
    exists (
      select from sessions s where s.id = r.session_id and ${isLive('s')}
    ) as is_asker_live
  from used join running r using (place)`,
)
