/**
 * What a call that a team pays for needs of the team before it can be reserved: its key, and every
 * limit that applies. Takes no locks: the statement that begins the turn checks again.
 */

import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { Batcher } from '../../database/statements/batcher.ts'
import { inPlaces, jsonRows } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { maySpend } from '../access/reach.ts'
import { type Raise, type RaiseRow, raisesOf, toRaise } from './team-books.ts'
import { type LimitColumns, type MemberCap, type PoolLimit, toLimit } from './team-budgets.ts'
import type { TeamRef } from './teams.ts'

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
}

type Asked = {
  userId: string
  sessionId: string
  teamId: string | null
  nameKey: string | null
}

type Row = Omit<TeamPurse, 'key' | 'poolLimits' | 'caps' | 'raises'> & {
  place: number
  keyId: string | null
  sealed: Buffer | null
  lastFour: string | null
  rejectedAt: Date | null
  poolLimits: (Pick<PoolLimit, 'period' | 'setBy'> & LimitColumns)[]
  caps: (Pick<MemberCap, 'period' | 'userId'> & LimitColumns)[]
  raises: RaiseRow[]
}

const asked = jsonRows<keyof Asked>({
  userId: 'uuid',
  sessionId: 'uuid',
  teamId: 'uuid',
  nameKey: 'text',
})

const limitFields = (row: string) => `'period', ${row}.period,
        'limitNanoUsd', ${row}.limit_nano_usd::text,
        'limitTokens', ${row}.limit_tokens::text`

/** A team that a session would have pay. */
export type HeldPurse = {
  id: string
  name: string
  isArchived: boolean
  maySpend: boolean
  /** What conversations that belong to it begin with. */
  defaultPayer: 'sender' | 'team'
  payers: 'any' | 'team_only'
}

/** A row for each call whose user is in the team. */
const loadTeamPurses = prepare<{ asked: string }, Row>(
  'load_team_purses',
  (value) => `
  select a.place, t.id, t.name, t.data_key, t.archived_at is not null as is_archived,
    ${maySpend('s', 't.id')} as may_spend,
    k.id as key_id, k.sealed, k.last_four, k.rejected_at,
    (
      select coalesce(json_agg(json_build_object(${limitFields('b')},
        'setBy', b.set_by)), '[]')
      from team_budgets b where b.team_id = t.id
    ) as pool_limits,
    (
      select coalesce(json_agg(json_build_object(${limitFields('c')},
        'userId', c.user_id)), '[]')
      from member_caps c
      where c.team_id = t.id and coalesce(c.user_id, a.user_id) = a.user_id
    ) as caps,
    ${raisesOf('t.id', 'a.user_id')} as raises
  from ${asked.as('a', value('asked', 'json'))}
  join sessions s on s.id = a.session_id and s.user_id = a.user_id
  join team_members m on m.user_id = a.user_id
  join teams t on t.id = m.team_id and (t.id = a.team_id or t.name_key = a.name_key)
  left join team_keys k on k.team_id = t.id and k.removed_at is null`,
)

export class TeamPurseRepository {
  readonly #db: Kysely<Schema>
  readonly #purses = new Batcher<Asked, Row | undefined>({
    run: (all) => this.#findTogether(all),
  })

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Undefined when there is no such team, or the user is not in it. */
  async find(
    { userId, sessionId }: { userId: string; sessionId: string },
    team: TeamRef,
  ): Promise<TeamPurse | undefined> {
    const teamId = 'id' in team ? team.id : null
    const nameKey = 'id' in team ? null : team.nameKey
    const row = await this.#purses.load({ userId, sessionId, teamId, nameKey })
    return row && toPurse(row)
  }

  /**
   * Locks the team and the membership, which then stay as they are until the transaction ends. The
   * session is held, and a conversation locked, before.
   */
  async hold(
    { userId, sessionId }: { userId: string; sessionId: string },
    team: TeamRef,
  ): Promise<HeldPurse | undefined> {
    const named = 'id' in team ? sql`t.id = ${team.id}::uuid` : sql`t.name_key = ${team.nameKey}`
    const { rows } = await sql<HeldPurse>`
      select t.id, t.name, t.archived_at is not null as is_archived,
        ${sql.raw(maySpend('s', 't.id'))} as may_spend, t.default_payer, t.payers
      from sessions s
      join team_members m on m.user_id = s.user_id
      join teams t on t.id = m.team_id and ${named}
      where s.id = ${sessionId}::uuid and s.user_id = ${userId}::uuid
      for share of t, m`.execute(this.#db)
    return rows[0]
  }

  async #findTogether(all: readonly Asked[]): Promise<(Row | undefined)[]> {
    return inPlaces(all, await loadTeamPurses(this.#db, { asked: asked.toJson(all) }))
  }
}

function toPurse({
  keyId,
  sealed,
  lastFour,
  rejectedAt,
  poolLimits,
  caps,
  raises,
  ...row
}: Row): TeamPurse {
  const { id, name, dataKey, isArchived, maySpend } = row
  const isThere = keyId !== null && sealed !== null && lastFour !== null
  return {
    ...{ id, name, dataKey, isArchived, maySpend },
    key: isThere ? { id: keyId, sealed, lastFour, rejectedAt } : null,
    poolLimits: poolLimits.map(({ period, setBy, ...limit }) => ({
      period,
      setBy,
      ...toLimit(limit),
    })),
    caps: caps.map(({ period, userId, ...limit }) => ({ period, userId, ...toLimit(limit) })),
    raises: raises.map(toRaise),
  }
}
