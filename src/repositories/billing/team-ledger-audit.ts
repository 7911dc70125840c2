/** The checks of ledger-audit.ts for what teams pay for. */

import { sql } from 'kysely'
import { type Drift, HELD } from './ledger-holds.ts'

/**
 * What one kind of books says was spent and is reserved must equal the ledger's rows that teams paid
 * for, and what runs holds of teams.
 *
 * @param books SQL for rows with `who`, `period`, `starts_on`, `spent_…` and `reserved_…`.
 * @param ofRow SQL for `who`, of a row of the ledger `l`.
 * @param ofHeld the same, of what is held `h`.
 */
const booksOf = (what: string, books: string, ofRow: string, ofHeld: string) =>
  sql.raw<Drift>(`
  with kept as (${books}), booked as (
    select ${ofRow} as who, p.period, date_trunc(p.period, l.booked_on)::date as starts_on,
      coalesce(sum(l.cost_nano_usd), 0) as nano_usd,
      sum(l.input_tokens::bigint + l.cache_write_5m_tokens + l.cache_write_1h_tokens
        + l.cache_read_tokens + l.output_tokens) as tokens
    from ledger l
    cross join (values ('day'), ('month')) as p (period)
    where l.payer = 'team' and (${ofRow}) is not null
    group by 1, 2, 3
  ), held as (
    select ${ofHeld} as who, p.period, (h.reservation->>p.period)::date as starts_on,
      sum((h.reservation->>'nanoUsd')::bigint) as nano_usd,
      sum((h.reservation->>'tokens')::bigint) as tokens
    from (${HELD}) as h
    cross join (values ('day'), ('month')) as p (period)
    where h.reservation->'team' is not null
    group by 1, 2, 3
  )
  select * from (
    select
      '${what}' as what,
      who || ' ' || period || ' ' || starts_on as where,
      coalesce(k.spent_nano_usd, 0) || ' nano-USD, ' || coalesce(k.spent_tokens, 0)
        || ' tokens spent, ' || coalesce(k.reserved_nano_usd, 0) || ' nano-USD, '
        || coalesce(k.reserved_tokens, 0) || ' tokens reserved' as recorded,
      coalesce(b.nano_usd, 0) || ' nano-USD, ' || coalesce(b.tokens, 0)
        || ' tokens spent, ' || coalesce(h.nano_usd, 0) || ' nano-USD, '
        || coalesce(h.tokens, 0) || ' tokens reserved' as recomputed
    from kept k
    full join booked b using (who, period, starts_on)
    full join held h using (who, period, starts_on)
  ) as books
  where recorded <> recomputed`)

const POOLS = booksOf(
  'pool',
  `select team_id::text as who, * from team_spending`,
  'l.team_id::text',
  `h.reservation->'team'->>'teamId'`,
)

/** Members of one team together spent what its pool says: both are held to the same rows. */
const MEMBERS = booksOf(
  'member',
  `select team_id || ' ' || user_id as who, * from member_spending`,
  `l.team_id || ' ' || l.user_id`,
  `(h.reservation->'team'->>'teamId') || ' ' || h.user_id`,
)

/** Of users that still exist. */
const SENDERS = booksOf(
  'sent for teams',
  `select user_id::text as who, period, starts_on, team_spent_nano_usd as spent_nano_usd,
    team_spent_tokens as spent_tokens, team_reserved_nano_usd as reserved_nano_usd,
    team_reserved_tokens as reserved_tokens from spending`,
  `(select u.id::text from users u where u.id = l.user_id)`,
  'h.user_id::text',
)

/** The daily sums must equal the sums of the rows. */
const DAYS = sql<Drift>`
  with kept as (
    select team_id, booked_on, user_id, model, tag, to_jsonb(d)::text as sums from usage_daily_team d
  ), added as (
    select team_id, booked_on, user_id, model, tag, to_jsonb(l)::text as sums
    from ledger_by_team_day l
  )
  select
    'day of a team' as what,
    team_id || ' ' || booked_on || ' ' || user_id || ' ' || model || ' ' || tag as where,
    coalesce(kept.sums, 'none') as recorded,
    coalesce(added.sums, 'none') as recomputed
  from kept full join added using (team_id, booked_on, user_id, model, tag)
  where kept.sums is distinct from added.sums`

export const TEAM_CHECKS = [POOLS, MEMBERS, SENDERS, DAYS]
