import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** A test write: a standby and a database with a full disk can still be read. */
export class HeartbeatRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** @throws AppError database_unavailable when the database cannot be written to. */
  async beat(replicaId: string): Promise<void> {
    const beatAt = sql<Date>`now()`
    await this.#db
      .insertInto('heartbeats')
      .values({ replicaId, beatAt })
      .onConflict((conflict) => conflict.column('replicaId').doUpdateSet({ beatAt }))
      .execute()
  }

  /** Deletes those of processes that ended long ago. */
  async deleteOld(): Promise<void> {
    await this.#db
      .deleteFrom('heartbeats')
      .where('beatAt', '<', sql<Date>`now() - interval '1 day'`)
      .execute()
  }
}
