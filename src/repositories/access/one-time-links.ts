import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { byDatabaseClock } from '../database-time.ts'

/** What its user may enter with it. */
export type LinkPurpose = 'key' | 'password'

export class OneTimeLinkRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Replaces the user's oldest link of the purpose when there are already `most`. */
  async insert(
    link: { tokenHash: Buffer; userId: string; expiresAt: Date; purpose: LinkPurpose },
    most: number,
  ): Promise<void> {
    const expiresAt = byDatabaseClock(link.expiresAt)
    const older = this.#db
      .selectFrom('oneTimeLinks')
      .select('tokenHash')
      .where('userId', '=', link.userId)
      .where('purpose', '=', link.purpose)
      .orderBy('expiresAt', 'desc')
      .offset(most - 1)
    await this.#db
      .with('replaced', (db) => db.deleteFrom('oneTimeLinks').where('tokenHash', 'in', older))
      .insertInto('oneTimeLinks')
      .values({ ...link, expiresAt })
      .execute()
  }

  /** The user of a valid link; does not use it up. */
  async findUser(tokenHash: Buffer, purpose: LinkPurpose): Promise<string | undefined> {
    const link = await this.#db
      .selectFrom('oneTimeLinks')
      .select('userId')
      .where('tokenHash', '=', tokenHash)
      .where('purpose', '=', purpose)
      .where('expiresAt', '>', sql<Date>`now()`)
      .executeTakeFirst()
    return link?.userId
  }

  /** @returns whether it was the user's and still valid: of concurrent uses only one succeeds. */
  async use(tokenHash: Buffer, userId: string, purpose: LinkPurpose): Promise<boolean> {
    const result = await this.#db
      .deleteFrom('oneTimeLinks')
      .where('tokenHash', '=', tokenHash)
      .where('userId', '=', userId)
      .where('purpose', '=', purpose)
      .where('expiresAt', '>', sql<Date>`now()`)
      .executeTakeFirst()
    return result.numDeletedRows === 1n
  }

  async deleteExpired(): Promise<void> {
    await this.#db.deleteFrom('oneTimeLinks').where('expiresAt', '<', sql<Date>`now()`).execute()
  }
}
