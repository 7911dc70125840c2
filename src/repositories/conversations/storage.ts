import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** How many sealed bytes are kept of each user. Triggers keep the sums (db/README.md). */
export class StorageRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async bytes(userId: string): Promise<number> {
    const row = await this.#db
      .selectFrom('storage')
      .select('bytes')
      .where('userId', '=', userId)
      .executeTakeFirst()
    return Number(row?.bytes ?? 0)
  }

  /** Users of whom older rows are still to be added. */
  async listUncounted(limit: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('storage')
      .select('userId')
      .where('countedAt', 'is', null)
      .limit(limit)
      .execute()
    return rows.map(({ userId }) => userId)
  }

  /**
   * Adds up what there is of one user. To be called in a transaction: the row is locked before the
   * statement that reads begins, so what that does not see will be added by its own triggers, which
   * wait for the lock.
   */
  async count(userId: string): Promise<void> {
    const locked = await this.#db
      .selectFrom('storage')
      .select('userId')
      .where('userId', '=', userId)
      .where('countedAt', 'is', null)
      .forUpdate()
      .executeTakeFirst()
    if (locked === undefined) return
    await sql`
      update storage set
        counted_at = now(),
        bytes = (
          select coalesce(sum(kept_bytes(title, system_prompt)), 0)
          from conversations where user_id = ${userId}::uuid
        ) + (
          select coalesce(sum(kept_bytes(role, status, content, stop_sequence)), 0)
          from messages where user_id = ${userId}::uuid
        )
      where user_id = ${userId}::uuid`.execute(this.#db)
  }
}
