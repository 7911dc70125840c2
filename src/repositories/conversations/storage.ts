import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** The sealed bytes stored per user. Triggers keep the sums (db/README.md). */
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

  /** Users whose older rows are not counted yet. */
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
   * Counts what one user has stored. Call it in a transaction: it locks the row before the
   * statement that reads begins, so the triggers of concurrent writes, which wait for the lock, add
   * what that statement does not see.
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
