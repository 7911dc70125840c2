import { type Kysely, sql } from 'kysely'
import type { Schema } from '../database/schema.ts'

export class SessionRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async insert(session: { id: string; userId: string; expiresAt: Date }): Promise<void> {
    await this.#db.insertInto('sessions').values(session).execute()
  }

  /** The session's user while it is neither expired nor revoked: the check behind every token. */
  async findLive(id: string, userId: string) {
    return this.#db
      .selectFrom('sessions')
      .innerJoin('users', 'users.id', 'sessions.userId')
      .select(['users.id as userId', 'users.username', 'users.usernameKey'])
      .where('sessions.id', '=', id)
      .where('sessions.userId', '=', userId)
      .where('sessions.revokedAt', 'is', null)
      .where('sessions.expiresAt', '>', sql<Date>`now()`)
      .executeTakeFirst()
  }

  /** @returns whether this call ended it: of two at once only one does. */
  async revoke(id: string, userId: string): Promise<boolean> {
    const result = await this.#db
      .updateTable('sessions')
      .set({ revokedAt: new Date() })
      .where('id', '=', id)
      .where('userId', '=', userId)
      .where('revokedAt', 'is', null)
      .executeTakeFirst()
    return result.numUpdatedRows === 1n
  }

  /** @returns how many live sessions ended. */
  async revokeAll(userId: string): Promise<number> {
    const result = await this.#db
      .updateTable('sessions')
      .set({ revokedAt: new Date() })
      .where('userId', '=', userId)
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .executeTakeFirst()
    return Number(result.numUpdatedRows)
  }

  async countLive(userId: string | null): Promise<number> {
    const { live } = await this.#db
      .selectFrom('sessions')
      .select((select) => select.fn.countAll<string>().as('live'))
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .$if(userId !== null, (query) => query.where('userId', '=', userId as string))
      .executeTakeFirstOrThrow()
    return Number(live)
  }

  /** Sessions are kept for a day after they ended, then they tell nothing any more. */
  async deleteEnded(): Promise<void> {
    await this.#db
      .deleteFrom('sessions')
      .where('expiresAt', '<', sql<Date>`now() - interval '1 day'`)
      .execute()
  }
}
