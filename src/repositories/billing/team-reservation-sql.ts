/**
 * The parts of reservation-sql.ts for what a team pays for. Three books count it, each by day and by
 * month: the sender's (beside what they pay for themselves; only limits of everything count it), the
 * team's pool, and the sender's part of the pool. All members of a team lock the same rows of the pool.
 * Calls of one team in one statement count as if one came after the other, by place: a call that begins
 * leaves those before it the most that they may reserve (withPoolAhead), and one that ends finds what
 * they have spent.
 */

import { prepare } from '../../database/statements/prepared.ts'
import { maySpend } from '../access/reach.ts'
import {
  added,
  BOOK_COLUMNS,
  type Books,
  type Budget,
  connectionShares,
  grantColumns,
  lockedConnectionBudgets,
  RESERVED_COLUMNS,
  RESERVING_COLUMNS,
  reservedByConnection,
  roomOf,
  roomTokens,
  SETTLING_COLUMNS,
  settledByConnection,
  sharesOf,
  storedFields,
  totalRoom,
  totalShares,
  usedOfBooks,
} from './reservation-sql.ts'

/** In the sender's book, of what teams pay. */
const ofTeams = (column: string) => `team_${column}`

const LIMITS = {
  poolDayNanoUsd: 'bigint',
  poolDayTokens: 'bigint',
  poolMonthNanoUsd: 'bigint',
  poolMonthTokens: 'bigint',
  memberDayNanoUsd: 'bigint',
  memberDayTokens: 'bigint',
  memberMonthNanoUsd: 'bigint',
  memberMonthTokens: 'bigint',
} as const

/** Columns of `asked` in a statement that reserves. */
export const TEAM_RESERVING_COLUMNS = {
  ...RESERVING_COLUMNS,
  ...LIMITS,
  teamId: 'uuid',
  /** The team's key, with which it is paid. */
  keyId: 'uuid',
  /** The most that calls before it in the statement reserve in the pool (withPoolAhead). */
  aheadNanoUsd: 'bigint',
  aheadTokens: 'bigint',
} as const

/** Columns of `asked` in a statement that settles. */
export const TEAM_SETTLING_COLUMNS = {
  ...SETTLING_COLUMNS,
  ...LIMITS,
  teamId: 'uuid',
  keyId: 'uuid',
} as const

/**
 * Locks what a team's paying rests on: only members send for a team that is in use, with the key that
 * it has now; a connection or personal token only where it was allowed to.
 *
 * @param after a join with what is locked before.
 */
export const payerOf = (after: string) => `
  payer as (
    select a.place
    from asked a
    join asker s on s.place = a.place and ${maySpend('s', 'a.team_id')}${after}
    join teams t on t.id = a.team_id and t.archived_at is null
    join team_members m on m.team_id = t.id and m.user_id = a.user_id
    join team_keys k on k.id = a.key_id and k.team_id = t.id and k.removed_at is null
    order by t.id, m.user_id
    for share of t, m, k
  )`

/** The first cases of a verdict. */
export const IS_PAYER_GONE = `when not exists (select from payer p where p.place = a.place) then 'payer_gone'
        `

/**
 * A case of a verdict, before those of its budgets: alone it may be granted more, as those before it may
 * reserve less than the most. What is spent refuses it in any case.
 */
export const IS_CONTENDED = `when (a.ahead_tokens > 0 or a.ahead_nano_usd > 0)
          and r.tokens < a.max_tokens and r.unheld_tokens >= a.least_tokens then 'contended'
        `

/** Of several budgets that refuse, the first is named. */
const NAMED = ['month', 'team_month', 'member_month', 'connection', 'day', 'team_day']
const LOCKED = ['locked_pools', 'locked_parts', 'locked_budgets', 'locked_connection_budgets']

const roomOfPeriod = (book: 'pool' | 'member', isWithHeld: boolean) => {
  const ahead = (what: string) => (book === 'pool' && isWithHeld ? ` - a.ahead_${what}` : '')
  const of = (period: string): Budget => ({
    nanoUsd: `a.${book}_${period}_nano_usd${ahead('nano_usd')}`,
    tokens: `a.${book}_${period}_tokens${ahead('tokens')}`,
  })
  return `case s.period when 'day' then ${roomTokens(of('day'), isWithHeld)} else ${roomTokens(of('month'), isWithHeld)} end`
}

const ofItsPeriods = `((s.period = 'day' and s.starts_on = a.day)
        or (s.period = 'month' and s.starts_on = a.month))`

const remainingRoom = `
  locked_budgets as (
    select a.place, s.period as book, ${totalRoom(true)} as tokens,
      ${totalRoom(false)} as unheld_tokens
    from asked a
    join asker using (place)
    join spending s on s.user_id = a.user_id and ${ofItsPeriods}
    order by s.user_id, s.period
    for update of s
  ),
  locked_pools as (
    select a.place, 'team_' || s.period as book, ${roomOfPeriod('pool', true)} as tokens,
      ${roomOfPeriod('pool', false)} as unheld_tokens
    from asked a
    join team_spending s on s.team_id = a.team_id and ${ofItsPeriods}
    where (select count(*) from locked_budgets t where t.place = a.place) = 2
    order by s.team_id, s.period, s.starts_on
    for update of s
  ),
  locked_parts as (
    select a.place, 'member_' || s.period as book, ${roomOfPeriod('member', true)} as tokens,
      ${roomOfPeriod('member', false)} as unheld_tokens
    from asked a
    join member_spending s on s.team_id = a.team_id and s.user_id = a.user_id and ${ofItsPeriods}
    where (select count(*) from locked_pools t where t.place = a.place) = 2
    order by s.team_id, s.user_id, s.period
    for update of s
  ),${lockedConnectionBudgets('locked_parts')},${roomOf(NAMED, LOCKED)}`

const reserved = `
  reserved as (
    insert into spending as s (user_id, period, starts_on, team_reserved_nano_usd,
      team_reserved_tokens)
    select b.user_id, p.period, p.starts_on, b.worst_nano_usd, b.worst_tokens
    from begun b
    cross join lateral (values ('day', b.day), ('month', b.month)) as p (period, starts_on)
    on conflict (user_id, period, starts_on) do update set
      ${added(RESERVED_COLUMNS.map(ofTeams))}
  ),
  reserved_in_pool as (
    update team_spending s set
      reserved_nano_usd = s.reserved_nano_usd + a.nano_usd,
      reserved_tokens = s.reserved_tokens + a.tokens
    from (
      select b.team_id, p.period, p.starts_on, sum(b.worst_nano_usd) as nano_usd,
        sum(b.worst_tokens) as tokens
      from begun b
      cross join lateral (values ('day', b.day), ('month', b.month)) as p (period, starts_on)
      group by 1, 2, 3
    ) a
    where s.team_id = a.team_id and s.period = a.period and s.starts_on = a.starts_on
  ),
  reserved_of_member as (
    update member_spending s set
      reserved_nano_usd = s.reserved_nano_usd + b.worst_nano_usd,
      reserved_tokens = s.reserved_tokens + b.worst_tokens
    from begun b
    where s.team_id = b.team_id and s.user_id = b.user_id
      and (s.period, s.starts_on) in (('day', b.day), ('month', b.month))
  ),${reservedByConnection}`

const storedReservation = (version: 2 | 3) => `jsonb_build_object(${storedFields},
        'v', ${version},
        'team', jsonb_build_object('teamId', b.team_id::text, 'keyId', b.key_id::text)
      )`

/** Before a team's or member's first call of a day or month: rows must exist to be locked. */
export const ensureTeamSpendingRows = prepare<
  { teamId: string; userId: string; day: string; month: string },
  never
>(
  'ensure_team_spending_rows',
  (value) => `
  with of_team as (
    insert into team_spending (team_id, period, starts_on)
    values (${value('teamId', 'uuid')}, 'day', ${value('day', 'date')}),
      (${value('teamId', 'uuid')}, 'month', ${value('month', 'date')})
    on conflict do nothing
  )
  insert into member_spending (team_id, user_id, period, starts_on)
  values (${value('teamId', 'uuid')}, ${value('userId', 'uuid')}, 'day', ${value('day', 'date')}),
    (${value('teamId', 'uuid')}, ${value('userId', 'uuid')}, 'month', ${value('month', 'date')})
  on conflict do nothing`,
)

/** The two periods of each row in `running`, once the rows of `before` are settled, two for each user. */
const periodsAfter = (before: string) => `
    from running r
    cross join lateral (values ('day', r.day), ('month', r.month)) as p (period, starts_on)
    where (select count(*) from ${before} s where s.user_id = r.user_id) = 2`

/** What calls after it in the statement have spent of the same pool, so that each counts what it found. */
const afterIt = (what: string) => `coalesce(sum(r.spent_${what}) over (
        partition by s.team_id, s.period, s.starts_on order by r.place desc
        rows between unbounded preceding and 1 preceding
      ), 0)::bigint`

const settled = `
  settled as (
    insert into spending as s (user_id, period, starts_on, team_reserved_nano_usd,
      team_reserved_tokens, team_spent_nano_usd, team_spent_tokens)
    select r.user_id, p.period, p.starts_on, - r.reserved_nano_usd, - r.reserved_tokens,
      r.spent_nano_usd, r.spent_tokens
    from running r
    cross join lateral (values ('day', r.day), ('month', r.month)) as p (period, starts_on)
    order by 1, 2
    on conflict (user_id, period, starts_on) do update set
      ${added(BOOK_COLUMNS.map(ofTeams))}
    returning user_id, period, spent_nano_usd, spent_tokens, team_spent_nano_usd, team_spent_tokens
  ),
  settled_teams as (
    insert into team_spending as s (team_id, period, starts_on, reserved_nano_usd, reserved_tokens,
      spent_nano_usd, spent_tokens)
    select r.team_id, p.period, p.starts_on, - sum(r.reserved_nano_usd), - sum(r.reserved_tokens),
      sum(r.spent_nano_usd), sum(r.spent_tokens)${periodsAfter('settled')}
    group by 1, 2, 3
    order by 1, 2, 3
    on conflict (team_id, period, starts_on) do update set
      ${added(BOOK_COLUMNS)}
    returning team_id, period, starts_on, spent_nano_usd, spent_tokens
  ),
  settled_pools as (
    select r.place, r.user_id, s.period,
      s.spent_nano_usd - ${afterIt('nano_usd')} as spent_nano_usd,
      s.spent_tokens - ${afterIt('tokens')} as spent_tokens
    from running r
    join settled_teams s on s.team_id = r.team_id
      and s.starts_on = case s.period when 'day' then r.day else r.month end
  ),
  settled_parts as (
    insert into member_spending as s (team_id, user_id, period, starts_on, reserved_nano_usd,
      reserved_tokens, spent_nano_usd, spent_tokens)
    select r.team_id, r.user_id, p.period, p.starts_on, - r.reserved_nano_usd, - r.reserved_tokens,
      r.spent_nano_usd, r.spent_tokens${periodsAfter('settled_pools')}
    order by 1, 2, 3
    on conflict (team_id, user_id, period, starts_on) do update set
      ${added(BOOK_COLUMNS)}
    returning team_id, user_id, period, spent_nano_usd, spent_tokens
  ),${settledByConnection('settled_parts')},
  books as (
    select r.place, s.period, ${totalShares}
    from running r join settled s using (user_id)
    union all
    select r.place, 'team_' || s.period,
      ${sharesOf('s.period', { day: 'pool_day', month: 'pool_month' })}
    from running r join settled_pools s using (place)
    union all
    select r.place, 'member_' || s.period,
      ${sharesOf('s.period', { day: 'member_day', month: 'member_month' })}
    from running r join settled_parts s using (team_id, user_id)
    union all${connectionShares}
  ),${usedOfBooks('r.team_id')}`

/** For what teams pay for. */
export const OF_TEAM: Books = {
  remainingRoom,
  grantColumns: grantColumns(NAMED, 'member_day'),
  reserved,
  storedReservation: storedReservation(2),
  settled,
  ledgerColumns: { payer: `'team'`, team_id: 'r.team_id', key_id: 'r.key_id' },
}

/** Of calls without a conversation: builds that settle such calls for their senders leave these. */
export const OF_TEAM_CALL: Books = { ...OF_TEAM, storedReservation: storedReservation(3) }
