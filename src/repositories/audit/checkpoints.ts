import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

export class AuditCheckpointRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Whether none was made in the last `seconds`, by the database's clock. */
  async isDue(seconds: number): Promise<boolean> {
    const { rows } = await sql<{ isDue: boolean }>`
      select not exists (
        select from audit_checkpoints where at > now() - make_interval(secs => ${seconds})
      ) as is_due`.execute(this.#db)
    return rows[0]?.isDue ?? false
  }

  /** Until the transaction ends, no other transaction makes one. */
  async lock(): Promise<void> {
    await sql`lock table audit_checkpoints in share row exclusive mode`.execute(this.#db)
  }

  async insert(text: string): Promise<void> {
    await sql`insert into audit_checkpoints (at, text) values (clock_timestamp(), ${text})`.execute(
      this.#db,
    )
  }

  /** The newest first. */
  async list(limit: number): Promise<{ at: Date; text: string }[]> {
    return this.#db
      .selectFrom('auditCheckpoints')
      .select(['at', 'text'])
      .orderBy('at', 'desc')
      .limit(limit)
      .execute()
  }
}
