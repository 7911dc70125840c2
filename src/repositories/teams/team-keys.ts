import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** What may be seen of a team's key. */
export type TeamKeyStatus = { lastFour: string; addedAt: Date; rejectedAt: Date | null }

/** Anthropic keys of teams: one that is used, and rows without a key for those before it. */
export class TeamKeyRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** The team's data key, wrapped. Lock the team before. */
  async getDataKey(teamId: string): Promise<Buffer> {
    const { dataKey } = await this.#db
      .selectFrom('teams')
      .select('dataKey')
      .where('id', '=', teamId)
      .executeTakeFirstOrThrow()
    return dataKey
  }

  /** Replaces the key that the team has. Lock the team before. */
  async replace(key: {
    id: string
    teamId: string
    sealed: Buffer
    lastFour: string
    addedBy: string
  }): Promise<void> {
    await this.remove(key.teamId)
    await this.#db.insertInto('teamKeys').values(key).execute()
  }

  /** Destroys the key, and keeps that it was there. @returns false when there was none. */
  async remove(teamId: string): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('teamKeys')
      .set({ sealed: null, removedAt: sql<Date>`now()` })
      .where('teamId', '=', teamId)
      .where('removedAt', 'is', null)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  async findStatus(teamId: string): Promise<TeamKeyStatus | undefined> {
    return this.#db
      .selectFrom('teamKeys')
      .select(['lastFour', 'addedAt', 'rejectedAt'])
      .where('teamId', '=', teamId)
      .where('removedAt', 'is', null)
      .executeTakeFirst()
  }

  /**
   * Records that Anthropic refused the key, or (null) that it works again.
   *
   * @returns the end of the key; undefined when that was known.
   */
  async updateRejected(id: string, rejectedAt: Date | null): Promise<string | undefined> {
    const row = await this.#db
      .updateTable('teamKeys')
      .set({ rejectedAt })
      .where('id', '=', id)
      .where('rejectedAt', rejectedAt === null ? 'is not' : 'is', null)
      .returning('lastFour')
      .executeTakeFirst()
    return row?.lastFour
  }

  /** Usernames of those who can give the team a key and money, by name. */
  async listOwners(teamId: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('teamMembers as m')
      .innerJoin('users as u', 'u.id', 'm.userId')
      .select('u.username')
      .where('m.teamId', '=', teamId)
      .where('m.role', '=', 'owner')
      .where('u.suspendedAt', 'is', null)
      .orderBy('u.usernameKey')
      .limit(10)
      .execute()
    return rows.map(({ username }) => username)
  }
}
