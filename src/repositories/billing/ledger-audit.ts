import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** A disagreement between two records of the same value. */
export type Drift = { what: string; where: string; recorded: string; recomputed: string }

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
        for (const check of [COSTS, DAYS, SPENDING, RESERVATIONS, CONNECTIONS, ANSWERS, STORED]) {
          found.push(...(await check.execute(tx)).rows)
        }
        return found
      })
  }
}

const DAY_KEYS = ['user_id', 'booked_on', 'model', 'tag']

/** Each row's cost must equal its tokens times its unit prices. */
const COSTS = sql<Drift>`
  select * from (
    select
      'cost' as what,
      'ledger row ' || id as where,
      coalesce(cost_nano_usd::text, 'none') as recorded,
      coalesce((
        input_tokens * (unit_prices->>'input')::bigint
        + cache_write_5m_tokens * (unit_prices->>'cacheWrite5m')::bigint
        + cache_write_1h_tokens * (unit_prices->>'cacheWrite1h')::bigint
        + cache_read_tokens * (unit_prices->>'cacheRead')::bigint
        + output_tokens * (unit_prices->>'output')::bigint
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

/** A budget's spending must equal the ledger's rows plus what was carried over. */
const SPENDING = sql<Drift>`
  with rows as (
    select l.user_id, p.period, date_trunc(p.period, l.booked_on)::date as starts_on,
      coalesce(sum(l.cost_nano_usd), 0) as nano_usd,
      sum(l.input_tokens + l.cache_write_5m_tokens + l.cache_write_1h_tokens
        + l.cache_read_tokens + l.output_tokens) as tokens
    from ledger l
    join users u on u.id = l.user_id
    cross join (values ('day'), ('month')) as p (period)
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

/** Reservations must equal what running answers hold. */
const RESERVATIONS = sql<Drift>`
  with held as (
    select m.user_id, p.period, (m.reservation->>p.period)::date as starts_on,
      sum((m.reservation->>'nanoUsd')::bigint) as nano_usd,
      sum((m.reservation->>'tokens')::bigint) as tokens
    from messages m
    cross join (values ('day'), ('month')) as p (period)
    where m.status = 'running' and m.role = 'assistant' and m.reservation is not null
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

/** The spending and the reservations of each connection that still exists. */
const CONNECTIONS = sql<Drift>`
  with booked as (
    select l.session_id, date_trunc('month', l.booked_on)::date as starts_on,
      coalesce(sum(l.cost_nano_usd), 0) as spent
    from ledger l
    join sessions s on s.id = l.session_id and s.kind = 'connection'
    group by 1, 2
  ), held as (
    select (m.reservation->>'sessionId')::uuid as session_id,
      (m.reservation->>'month')::date as starts_on,
      sum((m.reservation->>'nanoUsd')::bigint) as reserved
    from messages m
    join sessions s on s.id = (m.reservation->>'sessionId')::uuid
    where m.status = 'running' and m.role = 'assistant'
      and (m.reservation->>'isConnection')::boolean
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
