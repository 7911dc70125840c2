import { type Kysely, sql } from 'kysely'
import { isConflict } from '../../database/errors.ts'
import { LIFT_STATEMENT_LIMIT } from '../../database/postgresql/dialect.ts'
import type { Schema } from '../../database/schema.ts'

/** Deletes everything about a user except what was billed. */
export class ErasureRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** The user's answers that are still running in some process. */
  async listRunning(userId: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('messages')
      .select('id')
      .where('userId', '=', userId)
      .where('status', '=', 'running')
      .where('role', '=', 'assistant')
      .execute()
    return rows.map(({ id }) => id)
  }

  /**
   * Until the transaction ends, no other transaction adds a row that references the user.
   *
   * @returns the user's names in lower case; undefined when the user no longer exists.
   */
  async lock(userId: string): Promise<{ usernameKey: string; emailKey: string } | undefined> {
    return this.#db
      .selectFrom('users')
      .select(['usernameKey', 'emailKey'])
      .where('id', '=', userId)
      .forUpdate()
      .executeTakeFirst()
  }

  /** Labels in the ledger are the user's own text; its figures are not. */
  async clearTags(userId: string): Promise<void> {
    await this.#db
      .updateTable('ledger')
      .set({ tag: null })
      .where('userId', '=', userId)
      .where('tag', 'is not', null)
      .execute()
  }

  /** Lifts the statement timeout for the transaction: deleting a long history may take longer. */
  async takeAllTime(): Promise<void> {
    await sql.raw(LIFT_STATEMENT_LIMIT).execute(this.#db)
  }

  /** Foreign keys delete everything else that references the user, except the ledger. */
  async deleteUser(userId: string): Promise<void> {
    await this.#db.deleteFrom('users').where('id', '=', userId).execute()
  }
}

/** Whether PostgreSQL aborted this transaction because of a deadlock. */
export const isDeadlock = isConflict
