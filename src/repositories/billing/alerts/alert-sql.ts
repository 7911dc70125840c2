/**
 * The part of a settlement that notes which thresholds of a budget it has reached: in its own
 * statement, so that no process can settle without noting it, and none notes it twice. The rows of
 * the books are locked by then (reservation-sql.ts), so settlements of one book come here one after
 * the other, and nothing waits.
 */

/** Percent of a limit. */
const ALERT_THRESHOLDS = [50, 80, 100] as const

/** For `user_id` of a book that is of no single user. */
const NO_USER = `'00000000-0000-0000-0000-000000000000'::uuid`

const IS_KNOWN = `exists (
        select from budget_alerts a
        where a.book_kind = k.book_kind and a.book_id = k.book_id and a.user_id = k.user_id
          and a.period = k.period and a.starts_on = k.starts_on and a.threshold = k.threshold
      )`

const KEY = 'book_kind, book_id, user_id, period, starts_on, threshold'

/**
 * Of the calls in one statement that reach a threshold of one pool, those that would note it if each
 * ended by itself, by place: the first, and one that passes it under another limit than the one before.
 */
const inTurn = (reached: string) => `
    select k.*
    from (
      select k.*, row_number() over in_turn as turn,
        (limit_nano_usd, limit_tokens) is distinct from
          (lag(limit_nano_usd) over in_turn, lag(limit_tokens) over in_turn) as is_under_another
      from (${reached}
      ) as k
      window in_turn as (partition by ${KEY} order by place)
    ) as k
    where k.turn = 1 or k.is_passed_now and k.is_under_another`

/** Of which the last is kept. */
const LAST_OF_EACH = {
  distinct: ` distinct on (${KEY})`,
  order: `
    order by ${KEY}, place desc`,
}

/**
 * `newly (place, book)`, of the rows of `shares`: the books in which a threshold was reached for the
 * first time in the period, or once more under another limit. A limit that was raised is reached
 * again only by a call that passes the threshold, not by each one after it.
 *
 * @param teamId SQL for the team of a row in `running`; null: no team pays.
 */
export function alertsOfShares(teamId: string | null): string {
  const reached = reachedBy(teamId ?? 'null::uuid')
  const one = teamId === null ? { distinct: '', order: '' } : LAST_OF_EACH
  return `
  reached as (${teamId === null ? reached : inTurn(reached)}
  ),
  alerted as (
    insert into budget_alerts as a (${KEY},
      limit_nano_usd, limit_tokens, spent_nano_usd, spent_tokens)
    select${one.distinct} ${KEY},
      limit_nano_usd, limit_tokens, spent_nano_usd, spent_tokens
    from reached${one.order}
    on conflict (${KEY}) do update set
      limit_nano_usd = excluded.limit_nano_usd,
      limit_tokens = excluded.limit_tokens,
      spent_nano_usd = excluded.spent_nano_usd,
      spent_tokens = excluded.spent_tokens,
      fired_at = now(),
      told_at = null
    where (a.limit_nano_usd, a.limit_tokens)
      is distinct from (excluded.limit_nano_usd, excluded.limit_tokens)
    returning ${KEY}
  ),
  newly as (
    select distinct k.place, k.book
    from reached k
    join alerted a using (${KEY})
  )`
}

const reachedBy = (teamId: string) => `
    select k.*
    from (
      select s.place, s.period as book,
        case split_part(s.period, '_', 1)
          when 'connection' then 'connection' when 'team' then 'team' when 'member' then 'member'
          else 'user'
        end as book_kind,
        case split_part(s.period, '_', 1)
          when 'connection' then r.capped_session_id when 'team' then ${teamId}
          when 'member' then ${teamId} else r.user_id
        end as book_id,
        case split_part(s.period, '_', 1) when 'team' then ${NO_USER} else r.user_id end as user_id,
        case when s.period like '%day' then 'day' else 'month' end as period,
        case when s.period like '%day' then r.day else r.month end as starts_on,
        t.threshold, s.limit_nano_usd, s.limit_tokens, s.spent_nano_usd, s.spent_tokens,
        coalesce(greatest(
          (s.spent_nano_usd - r.spent_nano_usd) * 100 / nullif(s.limit_nano_usd, 0),
          (s.spent_tokens - r.spent_tokens) * 100 / nullif(s.limit_tokens, 0)
        ), 0) < t.threshold as is_passed_now
      from shares s
      join running r using (place)
      cross join (values ${ALERT_THRESHOLDS.map((percent) => `(${percent})`).join(', ')}) as t (threshold)
      where s.percent >= t.threshold
    ) as k
    where k.is_passed_now or not ${IS_KNOWN}`
