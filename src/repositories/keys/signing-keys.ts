import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

export type NewSigningKey = { kid: string; publicJwk: Record<string, unknown>; sealed: Buffer }

/** `ageSeconds` is by the database's clock, the only one that all replicas share. */
export type StoredSigningKey = NewSigningKey & { createdAt: Date; ageSeconds: number }

export class SigningKeyRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Newest first. */
  async list(): Promise<StoredSigningKey[]> {
    return this.#db
      .selectFrom('signingKeys')
      .select(['kid', 'publicJwk', 'sealed', 'createdAt'])
      .select(sql<number>`extract(epoch from now() - created_at)::float8`.as('ageSeconds'))
      .orderBy('createdAt', 'desc')
      .orderBy('kid')
      .execute()
  }

  /** Stores the key unless there is one: of replicas that start concurrently, one wins. */
  async insertFirst(key: NewSigningKey): Promise<void> {
    await this.#db.transaction().execute(async (tx) => {
      await sql`lock table signing_keys in exclusive mode`.execute(tx)
      const existing = await tx.selectFrom('signingKeys').select('kid').executeTakeFirst()
      if (!existing) await tx.insertInto('signingKeys').values(toRow(key)).execute()
    })
  }

  async insert(key: NewSigningKey): Promise<void> {
    await this.#db.insertInto('signingKeys').values(toRow(key)).execute()
  }

  /** Stores the key and deletes all others. */
  async replaceAll(key: NewSigningKey): Promise<void> {
    await this.#db.transaction().execute(async (tx) => {
      await sql`lock table signing_keys in exclusive mode`.execute(tx)
      await tx.deleteFrom('signingKeys').execute()
      await tx.insertInto('signingKeys').values(toRow(key)).execute()
    })
  }

  async delete(kids: readonly string[]): Promise<void> {
    await this.#db.deleteFrom('signingKeys').where('kid', 'in', kids).execute()
  }
}

const toRow = (key: NewSigningKey) => ({ ...key, publicJwk: JSON.stringify(key.publicJwk) })
