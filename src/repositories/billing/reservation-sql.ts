/**
 * The SQL of reserving and settling, of which every statement that spends is composed, so that all
 * of them lock, count and book alike. Those of a turn are start-turns-statement.ts and
 * finish-turns-statement.ts, those of a call without a conversation calls-statements.ts.
 *
 * A part is one or more CTEs. Rows are told apart by `place`, and one statement holds one row for
 * each user at most. The lock order: the sessions that ask, by id; the budgets, by user and day
 * before month; those of teams, by team, and of their members (team-reservation-sql.ts); the
 * sessions' own budgets; then what else the statement locks. A `for update`
 * returns the newest version of a row, regardless of the snapshot (PostgreSQL documentation: Read
 * Committed Isolation Level), so the room that is counted here is still there when it is reserved.
 *
 * What a team pays for has statements of its own, of the parts in {@link Books}: so what senders pay
 * for themselves costs no more than without teams.
 */

import { prepare } from '../../database/statements/prepared.ts'
import { isLive, mayDo } from '../access/reach.ts'
import { alertsOfShares } from './alerts/alert-sql.ts'

/** The parts that depend on whose money is spent. Each is documented where OF_SENDER has it. */
export type Books = {
  remainingRoom: string
  grantColumns: string
  reserved: string
  storedReservation: string
  settled: string
  /** Columns of the ledger, with SQL for their values. */
  ledgerColumns: Record<string, string>
}

const LIMITS = {
  dayNanoUsd: 'bigint',
  dayTokens: 'bigint',
  monthNanoUsd: 'bigint',
  monthTokens: 'bigint',
  connectionNanoUsd: 'bigint',
  /** Of what the user spends with their own key and with the money of teams. */
  totalDayNanoUsd: 'bigint',
  totalDayTokens: 'bigint',
  totalMonthNanoUsd: 'bigint',
  totalMonthTokens: 'bigint',
} as const

/** Columns of `asked` in a statement that reserves. */
export const RESERVING_COLUMNS = {
  userId: 'uuid',
  sessionId: 'uuid',
  /** The same where the session has a budget of its own; null where it has none. */
  cappedSessionId: 'uuid',
  /** How many rows of spending apply: 2, or 3 with the session's own. */
  books: 'integer',
  day: 'date',
  month: 'date',
  ...LIMITS,
  inputTokens: 'bigint',
  inputNanoUsd: 'bigint',
  outputNanoUsd: 'bigint',
  maxTokens: 'bigint',
  leastTokens: 'bigint',
} as const

/** The sessions in `asked` that are live and have the scope; they stay so until the end. */
export const asker = (scope: string) => `
  asker as (
    select a.place, s.id, s.user_id, s.scopes, s.kind, s.purses
    from asked a
    join sessions s on s.id = a.session_id and s.user_id = a.user_id
    where ${isLive('s')} and ${mayDo('s', scope)}
    order by s.id
    for share of s
  )`

/**
 * How many of the wanted output tokens a budget has room for; -1 when the input does not fit.
 *
 * @param isWithHeld whether what other calls have reserved counts as used.
 */
export function roomTokens(budget: Budget, isWithHeld: boolean): string {
  const columns = isWithHeld ? ['spent', 'reserved'] : ['spent']
  const all = budget.isTotal ? [...columns, ...columns.map((name) => `team_${name}`)] : columns
  const used = (what: string) =>
    [...all.map((name) => `s.${name}_${what}`), `a.input_${what}`].join(' - ')
  const nanoUsdLeft = `${budget.nanoUsd} - ${used('nano_usd')}`
  return `least(
      a.max_tokens,
      ${budget.tokens ? `${budget.tokens} - ${used('tokens')},` : ''}
      case
        when a.output_nano_usd is null then null
        when ${nanoUsdLeft} < 0 then -1
        else (${nanoUsdLeft}) / nullif(a.output_nano_usd, 0)
      end
    )`
}

/** SQL for the limits of one budget. */
export type Budget = {
  nanoUsd: string
  tokens?: string
  /** Whether what teams pay for the user counts in it. */
  isTotal?: boolean
}
const DAY: Budget = { nanoUsd: 'a.day_nano_usd', tokens: 'a.day_tokens' }
const MONTH: Budget = { nanoUsd: 'a.month_nano_usd', tokens: 'a.month_tokens' }
const OWN: Budget = { nanoUsd: 'a.connection_nano_usd' }
const TOTAL_DAY: Budget = {
  nanoUsd: 'a.total_day_nano_usd',
  tokens: 'a.total_day_tokens',
  isTotal: true,
}
const TOTAL_MONTH: Budget = {
  nanoUsd: 'a.total_month_nano_usd',
  tokens: 'a.total_month_tokens',
  isTotal: true,
}

/** Of a row of spending, in the user's limits of everything. */
export const totalRoom = (isWithHeld: boolean) =>
  `case s.period when 'day' then ${roomTokens(TOTAL_DAY, isWithHeld)} else ${roomTokens(TOTAL_MONTH, isWithHeld)} end`

/** The sessions' own budgets, once the rows of `before` are locked, of which each place has two. */
export const lockedConnectionBudgets = (before: string) => `
  locked_connection_budgets as (
    select a.place, 'connection' as book, ${roomTokens(OWN, true)} as tokens,
      ${roomTokens(OWN, false)} as unheld_tokens
    from asked a
    join connection_spending s on s.session_id = a.capped_session_id and s.starts_on = a.month
    where (select count(*) from ${before} t where t.place = a.place) = 2
    order by s.session_id
    for update of s
  )`

const roomInPeriod = (isWithHeld: boolean) =>
  `least(
      case s.period when 'day' then ${roomTokens(DAY, isWithHeld)} else ${roomTokens(MONTH, isWithHeld)} end,
      ${totalRoom(isWithHeld)}
    )`

/** Of several budgets that refuse, the first is named; `day` when none of these does. */
const NAMED = ['month', 'connection']

/** `remaining`, of the locked rows; `in_…` for each of the books that are told apart. */
export function roomOf(books: readonly string[], locked: readonly string[]): string {
  const least = (column: string, name: string, book: string) =>
    `min(${column}) filter (where book = '${book}') as ${name}_${book}`
  return `
  remaining as (
    select place, count(*) as books, min(tokens) as tokens, min(unheld_tokens) as unheld_tokens,
      ${books.map((book) => least('tokens', 'in', book)).join(',\n      ')},
      ${books.map((book) => least('unheld_tokens', 'unheld_in', book)).join(',\n      ')}
    from (${locked.map((name) => `select * from ${name}`).join(' union all ')}) as books
    group by place
  )`
}

/**
 * Locks every budget that applies to an {@link asker}, and counts what is left:
 * `remaining (place, books, tokens, in_month, in_connection, …)`, where the columns that begin with
 * `unheld_` count as if no other call had anything reserved.
 */
const remainingRoom = `
  locked_budgets as (
    select a.place, s.period as book, ${roomInPeriod(true)} as tokens,
      ${roomInPeriod(false)} as unheld_tokens
    from asked a
    join asker using (place)
    join spending s on s.user_id = a.user_id
      and ((s.period = 'day' and s.starts_on = a.day)
        or (s.period = 'month' and s.starts_on = a.month))
    order by s.user_id, s.period
    for update of s
  ),${lockedConnectionBudgets('locked_budgets')},${roomOf(NAMED, ['locked_budgets', 'locked_connection_budgets'])}`

/** Whether the budgets `r` of `a` refuse: for the order of a statement's other outcomes. */
export const isRefused = 'r.tokens < a.least_tokens'
export const isUnprepared = 'r.books is distinct from a.books'

/** `spent`: what is booked leaves no room. `held`: only reservations of other calls are in the way. */
export const refusal = `case when r.unheld_tokens < a.least_tokens then 'spent' else 'held' end`

/**
 * What a verdict says besides its outcome: the limit that refuses, and what would be reserved.
 *
 * @param otherwise the limit that refuses if none of the books does.
 */
export const grantColumns = (books: readonly string[], otherwise: string) => `
      case
        ${books.map((book) => `when r.unheld_in_${book} < a.least_tokens then '${book}'`).join('\n        ')}
        when r.unheld_tokens < a.least_tokens then '${otherwise}'
        ${books.map((book) => `when r.in_${book} < a.least_tokens then '${book}'`).join('\n        ')}
        else '${otherwise}'
      end as limited_by,
      r.tokens as room_tokens,
      a.input_nano_usd + r.tokens * coalesce(a.output_nano_usd, 0) as worst_nano_usd,
      a.input_tokens + r.tokens as worst_tokens`

/** The same columns in a result, as GrantRow (reservation-values.ts) has them. */
export const GRANT_RESULT = `greatest(room_tokens, -1)::integer as max_tokens, worst_nano_usd as nano_usd,
    worst_tokens as tokens, limited_by`

/** What a book counts. */
export const RESERVED_COLUMNS = ['reserved_nano_usd', 'reserved_tokens']
export const BOOK_COLUMNS = [...RESERVED_COLUMNS, 'spent_nano_usd', 'spent_tokens']

/** For the conflict of an insert into `s`: adds what was to be inserted. */
export const added = (columns: readonly string[]) =>
  columns.map((column) => `${column} = s.${column} + excluded.${column}`).join(',\n      ')

export const reservedByConnection = `
  reserved_by_connection as (
    insert into connection_spending as c (session_id, starts_on, reserved_nano_usd)
    select b.capped_session_id, b.month, b.worst_nano_usd
    from begun b where b.capped_session_id is not null
    on conflict (session_id, starts_on) do update set
      reserved_nano_usd = c.reserved_nano_usd + excluded.reserved_nano_usd
  )`

/** Adds the worst case of each row in `begun` to its budgets. */
const reserved = `
  reserved as (
    insert into spending as s (user_id, period, starts_on, reserved_nano_usd, reserved_tokens)
    select b.user_id, p.period, p.starts_on, b.worst_nano_usd, b.worst_tokens
    from begun b
    cross join lateral (values ('day', b.day), ('month', b.month)) as p (period, starts_on)
    on conflict (user_id, period, starts_on) do update set
      ${added(RESERVED_COLUMNS)}
  ),
${reservedByConnection}`

/** Of a row of `begun`, the fields of StoredReservation, for the process that settles it. */
export const storedFields = `
        'day', to_char(b.day, 'YYYY-MM-DD'),
        'month', to_char(b.month, 'YYYY-MM-DD'),
        'nanoUsd', b.worst_nano_usd::text,
        'tokens', b.worst_tokens,
        'likelyInputTokens', b.input_tokens,
        'maxTokens', b.room_tokens,
        'sessionId', b.session_id::text,
        'isConnection', b.capped_session_id is not null`

/** Before the first call of a day, month or session's month: rows must exist to be locked. */
export const ensureSpendingRows = prepare<
  { userId: string; day: string; month: string; cappedSessionId: string | null },
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
  select ${value('cappedSessionId', 'uuid')}, ${value('month', 'date')}
  where ${value('cappedSessionId', 'uuid')} is not null
  on conflict do nothing`,
)

/** Columns of `asked` in a statement that settles. */
export const SETTLING_COLUMNS = {
  userId: 'uuid',
  sessionId: 'uuid',
  cappedSessionId: 'uuid',
  day: 'date',
  month: 'date',
  reservedNanoUsd: 'bigint',
  reservedTokens: 'bigint',
  spentNanoUsd: 'bigint',
  spentTokens: 'bigint',
  ...LIMITS,
  leastPercent: 'integer',
  isBilled: 'boolean',
  model: 'text',
  inputTokens: 'integer',
  outputTokens: 'integer',
  thinkingTokens: 'integer',
  cacheReadTokens: 'integer',
  cacheWrite5mTokens: 'integer',
  cacheWrite1hTokens: 'integer',
  unitPrices: 'jsonb',
  costNanoUsd: 'bigint',
  estimated: 'text',
  requestId: 'text',
  tag: 'text',
} as const

/** @param before what settles other books of the row's user, of which it has two. */
export const settledByConnection = (before: string) => `
  settled_by_connection as (
    update connection_spending c set
      reserved_nano_usd = c.reserved_nano_usd - r.reserved_nano_usd,
      spent_nano_usd = c.spent_nano_usd + r.spent_nano_usd
    from running r
    where c.session_id = r.capped_session_id and c.starts_on = r.month
      and (select count(*) from ${before} s where s.user_id = r.user_id) = 2
    returning r.place, c.spent_nano_usd
  )`

/** SQL for what a book holds and its limit. @param isTotal whether what teams paid counts. */
export function sharesOf(
  period: string,
  limits: { day: string; month: string },
  isTotal = false,
): string {
  const spent = (what: string) =>
    isTotal ? `s.spent_${what} + s.team_spent_${what}` : `s.spent_${what}`
  const limit = (what: string) =>
    `case ${period} when 'day' then r.${limits.day}_${what} else r.${limits.month}_${what} end`
  return `${spent('nano_usd')} as spent_nano_usd, ${spent('tokens')} as spent_tokens,
      ${limit('nano_usd')} as limit_nano_usd, ${limit('tokens')} as limit_tokens`
}

/** Of a settled row of spending, in the user's limits of everything. */
export const totalShares = sharesOf('s.period', { day: 'total_day', month: 'total_month' }, true)

export const connectionShares = `
    select r.place, 'connection', c.spent_nano_usd, 0, r.connection_nano_usd, null
    from running r join settled_by_connection c using (place)`

/**
 * Of `books`, the used share of each limit in percent (of two limits of one book the larger share),
 * the thresholds that were reached, and what
 * the caller is warned of: `used (place, shares)`.
 *
 * @param teamId SQL for the team of a row in `running`; null: no team pays.
 */
export const usedOfBooks = (teamId: string | null) => `
  shares as (
    select distinct on (b.place, b.period) b.*, greatest(
        b.spent_nano_usd * 100 / nullif(b.limit_nano_usd, 0),
        b.spent_tokens * 100 / nullif(b.limit_tokens, 0)
      ) as percent
    from books b
    order by b.place, b.period, percent desc nulls last
  ),${alertsOfShares(teamId)},
  used as materialized (
    select r.place, jsonb_object_agg(s.period, s.percent)
        filter (where s.percent >= r.least_percent or n.place is not null) as shares
    from running r
    left join shares s using (place)
    left join newly n on n.place = s.place and n.book = s.period
    group by r.place
  )`

/**
 * Turns what each row in `running` has reserved into what it spent, notes the thresholds of limits
 * that this reaches, and tells the used share of each limit that is nearly used up or has reached
 * one: `used (place, shares)`.
 */
const settled = `
  settled as (
    insert into spending as s (user_id, period, starts_on, reserved_nano_usd, reserved_tokens,
      spent_nano_usd, spent_tokens)
    select r.user_id, p.period, p.starts_on, - r.reserved_nano_usd, - r.reserved_tokens,
      r.spent_nano_usd, r.spent_tokens
    from running r
    cross join lateral (values ('day', r.day), ('month', r.month)) as p (period, starts_on)
    order by 1, 2
    on conflict (user_id, period, starts_on) do update set
      ${added(BOOK_COLUMNS)}
    returning user_id, period, spent_nano_usd, spent_tokens, team_spent_nano_usd, team_spent_tokens
  ),
${settledByConnection('settled')},
  books as (
    select r.place, s.period, ${sharesOf('s.period', { day: 'day', month: 'month' })}
    from running r join settled s using (user_id)
    union all
    select r.place, s.period, ${totalShares}
    from running r join settled s using (user_id)
    union all${connectionShares}
  ),${usedOfBooks(null)}`

/**
 * Adds the ledger's line of each row in `running` that is billed.
 *
 * @param links further columns of the ledger, each with SQL for its value.
 */
export function booked(links: Record<string, string>): string {
  const columns = Object.keys(links).map((name) => `${name}, `)
  const values = Object.values(links).map((value) => `${value}, `)
  return `
  booked as (
    insert into ledger (user_id, ${columns.join('')}model, input_tokens,
      cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens,
      thinking_tokens, unit_prices, cost_nano_usd, estimated, request_id, tag, booked_on,
      session_id)
    select r.user_id, ${values.join('')}r.model, r.input_tokens,
      r.cache_write5m_tokens, r.cache_write1h_tokens, r.cache_read_tokens, r.output_tokens,
      r.thinking_tokens, r.unit_prices, r.cost_nano_usd, r.estimated, r.request_id, r.tag, r.day,
      r.session_id
    from running r
    where r.is_billed
    on conflict do nothing
  )`
}

/** For what senders pay for with their own keys. */
export const OF_SENDER: Books = {
  remainingRoom,
  grantColumns: grantColumns(NAMED, 'day'),
  reserved,
  storedReservation: `jsonb_build_object(${storedFields}
      )`,
  settled,
  ledgerColumns: {},
}
