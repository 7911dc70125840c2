import { type Kysely, sql } from 'kysely'
import { isConflict } from '../../database/errors.ts'
import { LIFT_STATEMENT_LIMIT } from '../../database/postgresql/dialect.ts'
import type { Schema } from '../../database/schema.ts'

/** What it takes to make a user as if they had never been, save for what was billed. */
export class ErasureRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** The user's answers that some process is still generating. */
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
   * Keeps every other transaction from adding a row that names the user, until this one ends.
   *
   * @returns the user's names in lower case; undefined when there is no such user any more.
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

  /** For the rest of the transaction: a long history may take longer than a statement usually may. */
  async takeAllTime(): Promise<void> {
    await sql.raw(LIFT_STATEMENT_LIMIT).execute(this.#db)
  }

  /** Everything that names the user goes too, save the ledger: see the foreign keys. */
  async deleteUser(userId: string): Promise<void> {
    await this.#db.deleteFrom('users').where('id', '=', userId).execute()
  }
}

/** Whether PostgreSQL gave up this transaction because it and another waited for each other. */
export const isDeadlock = isConflict
