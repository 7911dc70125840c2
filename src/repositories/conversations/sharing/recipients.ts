import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../../database/schema.ts'
import { isInTeam } from '../../access/conversation-access.ts'

export type SharesFrom = 'anyone' | 'teammates' | 'nobody'

/** People to whom conversations are offered, and what they accept. */
export class RecipientRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * The user of exactly this name or address, in lower case, how many offers they have not answered,
   * and whether they are in a team with the one who asks.
   */
  async find(nameKey: string, askerId: string) {
    const { rows } = await sql<{
      id: string
      username: string
      sharesFrom: SharesFrom
      pending: number
      isTeammate: boolean
    }>`
      select u.id, u.username, coalesce(own.shares_from, 'anyone') as shares_from,
        (
          select count(*)::integer from conversation_grants g
          where g.user_id = u.id and g.accepted_at is null
            and (g.expires_at is null or g.expires_at > now())
        ) as pending,
        exists (
          select from team_members own
          where own.user_id = ${askerId}::uuid and ${sql.raw(isInTeam('own.team_id', 'u.id'))}
        ) as is_teammate
      from users u
      left join user_settings own on own.user_id = u.id
      where u.username_key = ${nameKey} or u.email_key = ${nameKey}
      order by u.username_key = ${nameKey} desc
      limit 1`.execute(this.#db)
    return rows[0]
  }

  async getSharesFrom(userId: string): Promise<SharesFrom> {
    const row = await this.#db
      .selectFrom('userSettings')
      .select('sharesFrom')
      .where('userId', '=', userId)
      .executeTakeFirst()
    return row?.sharesFrom ?? 'anyone'
  }

  async putSharesFrom(userId: string, sharesFrom: SharesFrom): Promise<void> {
    await this.#db
      .insertInto('userSettings')
      .values({ userId, sharesFrom })
      .onConflict((conflict) => conflict.column('userId').doUpdateSet({ sharesFrom }))
      .execute()
  }
}
