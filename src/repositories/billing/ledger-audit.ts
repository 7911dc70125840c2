import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { type Drift, HELD } from './ledger-holds.ts'
import { TEAM_CHECKS } from './team-ledger-audit.ts'

export type { Drift }

/** Recomputes every sum of the ledger from its rows, in one snapshot of the database. */
export class LedgerAuditRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async countRows(): Promise<number> {
    const { rows } = await this.#db
      .selectFrom('ledger')
      .select((select) => select.fn.countAll<string>().as('rows'))
      .executeTakeFirstOrThrow()
    return Number(rows)
  }

  async listDrift(): Promise<Drift[]> {
    return this.#db
      .transaction()
      .setIsolationLevel('repeatable read')
      .execute(async (tx) => {
        const found = []
        for (const check of ALL_CHECKS) {
          found.push(...(await check.execute(tx)).rows)
        }
        return found
      })
  }
}

const DAY_KEYS = ['user_id', 'booked_on', 'model', 'tag']

/** Each row's cost must equal its tokens times its unit prices, and those of its web searches. */
const COSTS = sql<Drift>`
  select * from (
    select
      'cost' as what,
      'ledger row ' || id as where,
      coalesce(cost_nano_usd::text, 'none') as recorded,
      coalesce((
        case when iterations is null then
          input_tokens * (unit_prices->>'input')::bigint
          + cache_write_5m_tokens * (unit_prices->>'cacheWrite5m')::bigint
          + cache_write_1h_tokens * (unit_prices->>'cacheWrite1h')::bigint
          + cache_read_tokens * (unit_prices->>'cacheRead')::bigint
          + output_tokens * (unit_prices->>'output')::bigint
        else (
          select sum(
            i.input_tokens * (i.unit_prices->>'input')::bigint
            + i.cache_write_5m_tokens * (i.unit_prices->>'cacheWrite5m')::bigint
            + i.cache_write_1h_tokens * (i.unit_prices->>'cacheWrite1h')::bigint
            + i.cache_read_tokens * (i.unit_prices->>'cacheRead')::bigint
            + i.output_tokens * (i.unit_prices->>'output')::bigint
          )::bigint
          from jsonb_to_recordset(iterations) as i (input_tokens bigint,
            cache_write_5m_tokens bigint, cache_write_1h_tokens bigint, cache_read_tokens bigint,
            output_tokens bigint, unit_prices jsonb)
        ) end
        + web_searches * coalesce((unit_prices->>'webSearch')::bigint, 0)
      )::text, 'none') as recomputed
    from ledger
  ) as costs
  where recorded <> recomputed`

/** The daily sums must equal the sums of the rows. */
const DAYS = sql<Drift>`
  with kept as (
    select user_id, booked_on, model, tag, to_jsonb(d) - ${DAY_KEYS}::text[] as sums from usage_daily d
  ), added as (
    select user_id, booked_on, model, tag, to_jsonb(l) - ${DAY_KEYS}::text[] as sums
    from ledger_by_day l
  )
  select
    'day' as what,
    user_id || ' ' || booked_on || ' ' || model || ' ' || tag as where,
    coalesce(kept.sums::text, 'none') as recorded,
    coalesce(added.sums::text, 'none') as recomputed
  from kept full join added using (user_id, booked_on, model, tag)
  where kept.sums is distinct from added.sums`

/** A user's spending must equal the ledger's rows that they paid for, plus what was carried over. */
const SPENDING = sql<Drift>`
  with rows as (
    select l.user_id, p.period, date_trunc(p.period, l.booked_on)::date as starts_on,
      coalesce(sum(l.cost_nano_usd), 0) as nano_usd,
      sum(l.input_tokens + l.cache_write_5m_tokens + l.cache_write_1h_tokens
        + l.cache_read_tokens + l.output_tokens) as tokens
    from ledger l
    join users u on u.id = l.user_id
    cross join (values ('day'), ('month')) as p (period)
    where l.payer = 'user'
    group by 1, 2, 3
  )
  select
    'spent' as what,
    user_id || ' ' || period || ' ' || starts_on as where,
    coalesce(s.spent_nano_usd - s.carried_nano_usd, 0) || ' nano-USD, '
      || coalesce(s.spent_tokens - s.carried_tokens, 0) || ' tokens' as recorded,
    coalesce(r.nano_usd, 0) || ' nano-USD, ' || coalesce(r.tokens, 0) || ' tokens' as recomputed
  from spending s
  full join rows r using (user_id, period, starts_on)
  where coalesce(s.spent_nano_usd - s.carried_nano_usd, 0) <> coalesce(r.nano_usd, 0)
    or coalesce(s.spent_tokens - s.carried_tokens, 0) <> coalesce(r.tokens, 0)`

/** Reservations must equal what running answers and calls hold. */
const RESERVATIONS = sql<Drift>`
  with held as (
    select h.user_id, p.period, (h.reservation->>p.period)::date as starts_on,
      sum((h.reservation->>'nanoUsd')::bigint) as nano_usd,
      sum((h.reservation->>'tokens')::bigint) as tokens
    from (${sql.raw(HELD)}) as h
    cross join (values ('day'), ('month')) as p (period)
    where h.reservation->'team' is null
    group by 1, 2, 3
  )
  select
    'reserved' as what,
    user_id || ' ' || period || ' ' || starts_on as where,
    coalesce(s.reserved_nano_usd, 0) || ' nano-USD, ' || coalesce(s.reserved_tokens, 0) || ' tokens'
      as recorded,
    coalesce(h.nano_usd, 0) || ' nano-USD, ' || coalesce(h.tokens, 0) || ' tokens' as recomputed
  from spending s
  full join held h using (user_id, period, starts_on)
  where coalesce(s.reserved_nano_usd, 0) <> coalesce(h.nano_usd, 0)
    or coalesce(s.reserved_tokens, 0) <> coalesce(h.tokens, 0)`

/** The spending and the reservations of each session that still exists and has its own budget. */
const CONNECTIONS = sql<Drift>`
  with booked as (
    select l.session_id, date_trunc('month', l.booked_on)::date as starts_on,
      coalesce(sum(l.cost_nano_usd), 0) as spent
    from ledger l
    join sessions s on s.id = l.session_id
      and (s.kind = 'connection' or s.limit_nano_usd is not null)
    group by 1, 2
  ), held as (
    select (h.reservation->>'sessionId')::uuid as session_id,
      (h.reservation->>'month')::date as starts_on,
      sum((h.reservation->>'nanoUsd')::bigint) as reserved
    from (${sql.raw(HELD)}) as h
    join sessions s on s.id = (h.reservation->>'sessionId')::uuid
    where (h.reservation->>'isConnection')::boolean
    group by 1, 2
  )
  select
    'connection' as what,
    session_id || ' month ' || starts_on as where,
    coalesce(c.spent_nano_usd, 0) || ' nano-USD spent, ' || coalesce(c.reserved_nano_usd, 0)
      || ' reserved' as recorded,
    coalesce(b.spent, 0) || ' nano-USD spent, ' || coalesce(h.reserved, 0) || ' reserved'
      as recomputed
  from connection_spending c
  full join booked b using (session_id, starts_on)
  full join held h using (session_id, starts_on)
  where coalesce(c.spent_nano_usd, 0) <> coalesce(b.spent, 0)
    or coalesce(c.reserved_nano_usd, 0) <> coalesce(h.reserved, 0)`

/** The usage that was reported with a delivered answer must equal the ledger's. */
const ANSWERS = sql<Drift>`
  select
    'answer' as what,
    'message ' || m.id as where,
    (m.result->'usage'->>'input_tokens') || ' in, ' || (m.result->'usage'->>'output_tokens') || ' out'
      as recorded,
    coalesce(l.input_tokens + l.cache_write_5m_tokens + l.cache_write_1h_tokens
      + l.cache_read_tokens, 0) || ' in, ' || coalesce(l.output_tokens, 0) || ' out' as recomputed
  from messages m
  left join ledger l on l.message_id = m.id
  where m.role = 'assistant' and m.status in ('complete', 'refused')
    and ((m.result->'usage'->>'input_tokens')::bigint <> coalesce(l.input_tokens
        + l.cache_write_5m_tokens + l.cache_write_1h_tokens + l.cache_read_tokens, 0)
      or (m.result->'usage'->>'output_tokens')::bigint <> coalesce(l.output_tokens, 0))`

/** The stored bytes of each user whose sum has been backfilled. */
const STORED = sql<Drift>`
  with added as (
    select user_id, sum(bytes) as bytes
    from (
      select user_id, kept_bytes(title, system_prompt) as bytes from conversations
      union all
      select user_id, kept_bytes(role, status, content, stop_sequence) from messages
    ) as kept
    group by user_id
  )
  select
    'stored' as what,
    'user ' || user_id as where,
    coalesce(s.bytes, 0)::text as recorded,
    coalesce(a.bytes, 0)::text as recomputed
  from storage s
  full join added a using (user_id)
  where coalesce(s.bytes, 0) <> coalesce(a.bytes, 0)
    and (s.user_id is null or s.counted_at is not null)`

const ALL_CHECKS = [
  COSTS,
  DAYS,
  SPENDING,
  RESERVATIONS,
  CONNECTIONS,
  ANSWERS,
  STORED,
  ...TEAM_CHECKS,
]
