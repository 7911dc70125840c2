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
import { type PurseRow, purseOf, type TeamPurse, toPurse } from './purse-sql.ts'
import type { TeamRef } from './teams.ts'

type Asked = {
  userId: string
  sessionId: string
  teamId: string | null
  nameKey: string | null
}

type Row = { place: number; purse: PurseRow | null }

const asked = jsonRows<keyof Asked>({
  userId: 'uuid',
  sessionId: 'uuid',
  teamId: 'uuid',
  nameKey: 'text',
})

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

const loadTeamPurses = prepare<{ asked: string }, Row>(
  'load_team_purses',
  (value) => `
  select a.place, ${purseOf('t.id = a.team_id or t.name_key = a.name_key')} as purse
  from ${asked.as('a', value('asked', 'json'))}
  join sessions s on s.id = a.session_id and s.user_id = a.user_id`,
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
    return row?.purse ? toPurse(row.purse) : undefined
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
