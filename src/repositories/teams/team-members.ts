import { type Kysely, sql } from 'kysely'
import type { Schema, TeamRole } from '../../database/schema.ts'

export type TeamMember = {
  userId: string
  username: string
  role: TeamRole
  addedAt: Date
  isSuspended: boolean
}

/** Who is in which team. What changes it holds the lock of the team's row (teams.ts). */
export class TeamMemberRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Until the transaction ends, no other transaction lets the user into another team, so that their
   * teams can be counted. Taken before the lock of a team.
   */
  async lockTeamsOf(userId: string): Promise<void> {
    await sql`select pg_advisory_xact_lock(hashtextextended('teams of ' || ${userId}::text, 0))`.execute(
      this.#db,
    )
  }

  /** How many teams that are in use the user is in. */
  async countTeamsOf(userId: string): Promise<number> {
    const { rows } = await sql<{ teams: number }>`
      select count(*)::integer as teams
      from team_members m
      join teams t on t.id = m.team_id
      where m.user_id = ${userId}::uuid and t.archived_at is null`.execute(this.#db)
    return rows[0]?.teams ?? 0
  }

  /** @returns false when the user is in it already; their role stays then. */
  async insert(member: {
    teamId: string
    userId: string
    role: TeamRole
    /** Null: the operator. */
    addedBy: string | null
  }): Promise<boolean> {
    const { numInsertedOrUpdatedRows } = await this.#db
      .insertInto('teamMembers')
      .values(member)
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirstOrThrow()
    return numInsertedOrUpdatedRows === 1n
  }

  async setRole(teamId: string, userId: string, role: TeamRole): Promise<void> {
    await this.#db
      .updateTable('teamMembers')
      .set({ role })
      .where('teamId', '=', teamId)
      .where('userId', '=', userId)
      .execute()
  }

  async delete(teamId: string, userId: string): Promise<void> {
    await this.#db
      .deleteFrom('teamMembers')
      .where('teamId', '=', teamId)
      .where('userId', '=', userId)
      .execute()
  }

  /**
   * Asks the processes that run calls for which the team pays to stop them.
   *
   * @param userId whose calls; null: of all members.
   * @returns their ids.
   */
  async cancelCalls(teamId: string, userId: string | null): Promise<string[]> {
    const { rows } = await sql<{ id: string }>`
      update calls set cancel_requested_at = now()
      where reservation->'team'->>'teamId' = ${teamId}
        and (${userId}::uuid is null or user_id = ${userId}::uuid)
      returning id`.execute(this.#db)
    return rows.map(({ id }) => id)
  }

  async roleOf(teamId: string, userId: string): Promise<TeamRole | undefined> {
    const member = await this.#db
      .selectFrom('teamMembers')
      .select('role')
      .where('teamId', '=', teamId)
      .where('userId', '=', userId)
      .executeTakeFirst()
    return member?.role
  }

  /** The member of this name, in lower case. */
  async find(teamId: string, usernameKey: string): Promise<TeamMember | undefined> {
    return this.#members(teamId).where('u.usernameKey', '=', usernameKey).executeTakeFirst()
  }

  /** All, by name. */
  async list(teamId: string, limit: number): Promise<TeamMember[]> {
    return this.#members(teamId).orderBy('u.usernameKey').limit(limit).execute()
  }

  async count(teamId: string): Promise<number> {
    const { rows } = await sql<{ members: number }>`
      select count(*)::integer as members from team_members
      where team_id = ${teamId}::uuid`.execute(this.#db)
    return rows[0]?.members ?? 0
  }

  /** How many of its owners may sign in. */
  async countActiveOwners(teamId: string): Promise<number> {
    const { rows } = await sql<{ owners: number }>`
      select count(*)::integer as owners
      from team_members m
      join users u on u.id = m.user_id
      where m.team_id = ${teamId}::uuid and m.role = 'owner' and u.suspended_at is null`.execute(
      this.#db,
    )
    return rows[0]?.owners ?? 0
  }

  #members(teamId: string) {
    return this.#db
      .selectFrom('teamMembers as m')
      .innerJoin('users as u', 'u.id', 'm.userId')
      .select([
        'm.userId',
        'u.username',
        'm.role',
        'm.addedAt',
        sql<boolean>`u.suspended_at is not null`.as('isSuspended'),
      ])
      .where('m.teamId', '=', teamId)
  }
}
