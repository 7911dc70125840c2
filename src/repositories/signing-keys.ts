import { type Kysely, sql } from 'kysely'
import type { Schema } from '../database/schema.ts'

export type StoredSigningKey = {
  kid: string
  publicJwk: Record<string, unknown>
  sealed: Buffer
  createdAt: Date
}

export class SigningKeyRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Newest first: the first one signs, all of them verify. */
  async list(): Promise<StoredSigningKey[]> {
    return this.#db
      .selectFrom('signingKeys')
      .select(['kid', 'publicJwk', 'sealed', 'createdAt'])
      .orderBy('createdAt', 'desc')
      .execute()
  }

  /** Stores the key unless there is one: of replicas that start together, one wins. */
  async insertFirst(key: StoredSigningKey): Promise<void> {
    await this.#db.transaction().execute(async (tx) => {
      await sql`lock table signing_keys in exclusive mode`.execute(tx)
      const existing = await tx.selectFrom('signingKeys').select('kid').executeTakeFirst()
      if (existing) return
      await tx
        .insertInto('signingKeys')
        .values({ ...key, publicJwk: JSON.stringify(key.publicJwk) })
        .execute()
    })
  }
}
