import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** What a process writes to be sure that it can: a standby and a full disk are readable too. */
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

  /** Of processes that have long ended. */
  async deleteOld(): Promise<void> {
    await this.#db
      .deleteFrom('heartbeats')
      .where('beatAt', '<', sql<Date>`now() - interval '1 day'`)
      .execute()
  }
}
