/** What a call that a team pays for needs of the team, as one JSON value of a statement. */

import { maySpend } from '../access/reach.ts'
import { type Raise, type RaiseRow, raisesOf, toRaise } from './team-books.ts'
import { type LimitColumns, type MemberCap, type PoolLimit, toLimit } from './team-budgets.ts'

export type TeamPurse = {
  id: string
  name: string
  dataKey: Buffer
  isArchived: boolean
  /** Whether the session that asks may spend the team's money. */
  maySpend: boolean
  /** Null when the team has none. */
  key: { id: string; sealed: Buffer; lastFour: string; rejectedAt: Date | null } | null
  /** Of all members together: what the installation's admins set, and what the team did. */
  poolLimits: PoolLimit[]
  /** Of one member: their own, and every member's. */
  caps: MemberCap[]
  /** What raises them for now. */
  raises: Raise[]
  /** Another one after every change of the rest, for a statement that compares it. */
  version: string
}

/** Bytes in base64, times as text, as JSON has them. */
export type PurseRow = { purse: PurseFields; version: string }

type PurseFields = Pick<TeamPurse, 'id' | 'name' | 'isArchived' | 'maySpend'> & {
  dataKey: string
  keyId: string | null
  sealed: string | null
  lastFour: string | null
  rejectedAt: string | null
  poolLimits: (Pick<PoolLimit, 'period' | 'setBy'> & LimitColumns)[]
  caps: (Pick<MemberCap, 'period' | 'userId'> & LimitColumns)[]
  raises: RaiseRow[]
}

const limitFields = (row: string) => `'period', ${row}.period,
          'limitNanoUsd', ${row}.limit_nano_usd::text,
          'limitTokens', ${row}.limit_tokens::text`

/** SQL for the fields of a {@link PurseRow}; null unless the user of `a` is in the team. */
const fieldsOf = (isIt: string) => `(
    select json_build_object(
      'id', t.id,
      'name', t.name,
      'dataKey', encode(t.data_key, 'base64'),
      'isArchived', t.archived_at is not null,
      'maySpend', coalesce(${maySpend('s', 't.id')}, false),
      'keyId', k.id,
      'sealed', encode(k.sealed, 'base64'),
      'lastFour', k.last_four,
      'rejectedAt', k.rejected_at,
      'poolLimits', (
        select coalesce(json_agg(json_build_object(${limitFields('b')},
          'setBy', b.set_by)), '[]')
        from team_budgets b where b.team_id = t.id
      ),
      'caps', (
        select coalesce(json_agg(json_build_object(${limitFields('c')},
          'userId', c.user_id)), '[]')
        from member_caps c
        where c.team_id = t.id and coalesce(c.user_id, a.user_id) = a.user_id
      ),
      'raises', ${raisesOf('t.id', 'a.user_id')}
    )
    from team_members m
    join teams t on t.id = m.team_id and (${isIt})
    left join team_keys k on k.team_id = t.id and k.removed_at is null
    where m.user_id = a.user_id
  )`

const versionOf = (fields: string) =>
  `encode(sha256(convert_to(${fields}::text, 'UTF8')), 'base64')`

/**
 * SQL for a {@link PurseRow}; null unless the user of `a` is in the team. `s` is the session that
 * asks.
 *
 * @param isIt SQL for whether the team `t` is the one.
 */
export const purseOf = (isIt: string) => `(
    select json_build_object('purse', f.purse, 'version', ${versionOf('f.purse')})
    from (select ${fieldsOf(isIt)} as purse offset 0) as f
    where f.purse is not null
  )`

/** SQL for the `version` alone. */
export const purseVersionOf = (isIt: string) => versionOf(fieldsOf(isIt))

export function toPurse({ purse, version }: PurseRow): TeamPurse {
  const { keyId, sealed, lastFour, rejectedAt, ...row } = purse
  const { id, name, dataKey, isArchived, maySpend, poolLimits, caps, raises } = row
  const key = keyId !== null && sealed !== null && lastFour !== null
  return {
    ...{ id, name, isArchived, maySpend, version },
    dataKey: Buffer.from(dataKey, 'base64'),
    key: key
      ? {
          id: keyId,
          sealed: Buffer.from(sealed, 'base64'),
          lastFour,
          rejectedAt: rejectedAt === null ? null : new Date(rejectedAt),
        }
      : null,
    poolLimits: poolLimits.map(({ period, setBy, ...limit }) => ({
      period,
      setBy,
      ...toLimit(limit),
    })),
    caps: caps.map(({ period, userId, ...limit }) => ({ period, userId, ...toLimit(limit) })),
    raises: raises.map(toRaise),
  }
}
