import { type Insertable, type Kysely, sql } from 'kysely'
import type { OauthRecordsTable, Schema } from '../database/schema.ts'

/** What the authorization server keeps. An expired record is as good as none. */
export class OAuthRecordRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Replaces a record of the same model and key; when it was consumed stays. */
  async put(record: Insertable<OauthRecordsTable>): Promise<void> {
    const { sealed, userId, grantId, uidHash, expiresAt } = record
    await this.#db
      .insertInto('oauthRecords')
      .values(record)
      .onConflict((conflict) =>
        conflict
          .columns(['model', 'key'])
          .doUpdateSet({ sealed, userId, grantId, uidHash, expiresAt }),
      )
      .execute()
  }

  async find(model: string, by: { key: Buffer } | { uidHash: Buffer }) {
    return this.#live(model)
      .$if('key' in by, (query) => query.where('key', '=', (by as { key: Buffer }).key))
      .$if('uidHash' in by, (query) =>
        query.where('uidHash', '=', (by as { uidHash: Buffer }).uidHash),
      )
      .executeTakeFirst()
  }

  /** @returns whether this call consumed it: of two at once only one does. */
  async consume(model: string, key: Buffer): Promise<boolean> {
    const result = await this.#db
      .updateTable('oauthRecords')
      .set({ consumedAt: new Date() })
      .where('model', '=', model)
      .where('key', '=', key)
      .where('consumedAt', 'is', null)
      .executeTakeFirst()
    return result.numUpdatedRows === 1n
  }

  /**
   * Puts a record in the place of another of its model, which is consumed by that: both or neither.
   *
   * @returns whether this call did; of two at once, on whichever replicas, only one does, and the
   *   other one returns when it can see what the first wrote.
   */
  async succeed(key: Buffer, successor: Insertable<OauthRecordsTable>): Promise<boolean> {
    const { model, sealed, userId, grantId, expiresAt } = successor
    const result = await sql`
      with consumed as (
        update oauth_records set consumed_at = now(), successor_key = ${successor.key}::bytea
        where model = ${model} and key = ${key}::bytea and consumed_at is null
        returning model
      )
      insert into oauth_records (model, key, sealed, user_id, grant_id, expires_at)
      select model, ${successor.key}::bytea, ${sealed}::bytea, ${userId}::uuid, ${grantId}::uuid,
        ${expiresAt}::timestamptz
      from consumed`.execute(this.#db)
    return result.numAffectedRows === 1n
  }

  /** What took a record's place within the last so many seconds, and is still there. */
  async findSuccessor(model: string, key: Buffer, withinSeconds: number) {
    return this.#live(model)
      .where('key', '=', (query) =>
        query
          .selectFrom('oauthRecords as consumed')
          .select('consumed.successorKey')
          .where('consumed.model', '=', model)
          .where('consumed.key', '=', key)
          .where('consumed.consumedAt', '>', secondsAgo(withinSeconds)),
      )
      .executeTakeFirst()
  }

  async delete(model: string, key: Buffer): Promise<void> {
    await this.#db
      .deleteFrom('oauthRecords')
      .where('model', '=', model)
      .where('key', '=', key)
      .execute()
  }

  async deleteByGrant(grantId: string): Promise<void> {
    await this.#db.deleteFrom('oauthRecords').where('grantId', '=', grantId).execute()
  }

  /** Lets a record live at least until then. */
  async extend(model: string, key: Buffer, until: Date): Promise<void> {
    await this.#db
      .updateTable('oauthRecords')
      .set({ expiresAt: until })
      .where('model', '=', model)
      .where('key', '=', key)
      .where('expiresAt', '<', until)
      .execute()
  }

  async deleteExpired(): Promise<void> {
    await this.#db.deleteFrom('oauthRecords').where('expiresAt', '<', sql<Date>`now()`).execute()
  }

  #live(model: string) {
    return this.#db
      .selectFrom('oauthRecords')
      .select(['key', 'sealed', 'consumedAt'])
      .where('model', '=', model)
      .where((where) =>
        where.or([where('expiresAt', 'is', null), where('expiresAt', '>', sql<Date>`now()`)]),
      )
  }
}

const secondsAgo = (seconds: number) => sql<Date>`now() - make_interval(secs => ${seconds})`
