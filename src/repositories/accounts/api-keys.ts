import type { Kysely } from 'kysely'
import type { Schema } from '../../database/schema.ts'

export class ApiKeyRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Stores the user's key, or replaces it; a replaced key is no longer marked as rejected. */
  async put(key: { userId: string; sealed: Buffer; lastFour: string }): Promise<void> {
    await this.#db
      .insertInto('apiKeys')
      .values(key)
      .onConflict((conflict) =>
        conflict.column('userId').doUpdateSet({
          sealed: key.sealed,
          lastFour: key.lastFour,
          createdAt: new Date(),
          rejectedAt: null,
        }),
      )
      .execute()
  }

  /** What the user may see of it. */
  async findStatus(userId: string) {
    return this.#db
      .selectFrom('apiKeys')
      .select(['lastFour', 'createdAt', 'rejectedAt'])
      .where('userId', '=', userId)
      .executeTakeFirst()
  }

  /** @returns false when there was none. */
  async delete(userId: string): Promise<boolean> {
    const result = await this.#db
      .deleteFrom('apiKeys')
      .where('userId', '=', userId)
      .executeTakeFirst()
    return result.numDeletedRows === 1n
  }

  /**
   * Records that Anthropic refused the key, or (null) that it works again.
   *
   * @returns the end of the key; undefined when that was known.
   */
  async updateRejected(userId: string, rejectedAt: Date | null): Promise<string | undefined> {
    const row = await this.#db
      .updateTable('apiKeys')
      .set({ rejectedAt })
      .where('userId', '=', userId)
      .where('rejectedAt', rejectedAt === null ? 'is not' : 'is', null)
      .returning('lastFour')
      .executeTakeFirst()
    return row?.lastFour
  }
}
