import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** `dataKey`: wrapped. `sealed`: the private key that signs checkpoints. */
export type StoredAuditKey = {
  id: string
  dataKey: Buffer
  publicJwk: Record<string, unknown>
  sealed: Buffer
}

export class AuditKeyRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Newest first. */
  async list(): Promise<StoredAuditKey[]> {
    return this.#db
      .selectFrom('auditKeys')
      .select(['id', 'dataKey', 'publicJwk', 'sealed'])
      .orderBy('createdAt', 'desc')
      .orderBy('id')
      .execute()
  }

  /** Stores the key unless there is one: of replicas that start concurrently, one wins. */
  async insertFirst(key: StoredAuditKey): Promise<void> {
    await this.#db.transaction().execute(async (tx) => {
      await sql`lock table audit_keys in exclusive mode`.execute(tx)
      const existing = await tx.selectFrom('auditKeys').select('id').executeTakeFirst()
      if (existing) return
      const publicJwk = JSON.stringify(key.publicJwk)
      await tx
        .insertInto('auditKeys')
        .values({ ...key, publicJwk })
        .execute()
    })
  }
}
