import { type Insertable, type Kysely, sql } from 'kysely'
import type { OauthRecordsTable, Schema } from '../../database/schema.ts'
import { byDatabaseClock } from '../database-time.ts'

type NewOAuthRecord = Omit<Insertable<OauthRecordsTable>, 'expiresAt'> & { expiresAt: Date }

/** The records of the authorization server. An expired record counts as absent. */
export class OAuthRecordRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Replaces a record of the same model and key, but keeps when it was consumed. */
  async put(record: NewOAuthRecord): Promise<void> {
    const { sealed, userId, grantId, uidHash } = record
    const expiresAt = byDatabaseClock(record.expiresAt)
    await this.#db
      .insertInto('oauthRecords')
      .values({ ...record, expiresAt })
      .onConflict((conflict) =>
        conflict
          .columns(['model', 'key'])
          .doUpdateSet({ sealed, userId, grantId, uidHash, expiresAt }),
      )
      .execute()
  }

  /** `secondsLeft` is by the database's clock; null for a record without expiry. */
  async find(model: string, by: { key: Buffer } | { uidHash: Buffer }) {
    return this.#live(model)
      .$if('key' in by, (query) => query.where('key', '=', (by as { key: Buffer }).key))
      .$if('uidHash' in by, (query) =>
        query.where('uidHash', '=', (by as { uidHash: Buffer }).uidHash),
      )
      .executeTakeFirst()
  }

  /** @returns whether this call consumed it: of concurrent calls only one does. */
  async consume(model: string, key: Buffer): Promise<boolean> {
    const result = await this.#db
      .updateTable('oauthRecords')
      .set({ consumedAt: sql<Date>`now()` })
      .where('model', '=', model)
      .where('key', '=', key)
      .where('consumedAt', 'is', null)
      .executeTakeFirst()
    return result.numUpdatedRows === 1n
  }

  /**
   * Consumes a record and inserts its successor of the same model: both or neither.
   *
   * @returns whether this call did; of concurrent calls on any replicas only one does, and the
   *   others return once they can see what it wrote.
   */
  async succeed(key: Buffer, successor: NewOAuthRecord): Promise<boolean> {
    const { model, sealed, userId, grantId, expiresAt } = successor
    const result = await sql`
      with consumed as (
        update oauth_records set consumed_at = now(), successor_key = ${successor.key}::bytea
        where model = ${model} and key = ${key}::bytea and consumed_at is null
        returning model
      )
      insert into oauth_records (model, key, sealed, user_id, grant_id, expires_at)
      select model, ${successor.key}::bytea, ${sealed}::bytea, ${userId}::uuid, ${grantId}::uuid,
        ${byDatabaseClock(expiresAt)}
      from consumed`.execute(this.#db)
    return result.numAffectedRows === 1n
  }

  /** The successor that was inserted within the last `withinSeconds`, if it still exists. */
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

  /** Deletes everything with which a client could still get tokens. */
  async deleteIssued(grantId: string): Promise<void> {
    await this.#db
      .deleteFrom('oauthRecords')
      .where('grantId', '=', grantId)
      .where('model', 'in', ['AuthorizationCode', 'RefreshToken'])
      .execute()
  }

  /** Extends a record's life to at least `until`. */
  async extend(model: string, key: Buffer, until: Date): Promise<void> {
    await this.#db
      .updateTable('oauthRecords')
      .set({ expiresAt: byDatabaseClock(until) })
      .where('model', '=', model)
      .where('key', '=', key)
      .where('expiresAt', '<', byDatabaseClock(until))
      .execute()
  }

  async deleteExpired(): Promise<void> {
    await this.#db.deleteFrom('oauthRecords').where('expiresAt', '<', sql<Date>`now()`).execute()
  }

  /**
   * Deletes the oldest records without a signed-in user: clients that registered and never
   * connected (which live a day), and pending sign-ins. Anyone can create those.
   */
  async deleteExcess(mostAnonymous: number): Promise<void> {
    await sql`
      delete from oauth_records r using (
        select model, key from oauth_records
        where user_id is null and grant_id is null
          and expires_at <= created_at + interval '24 hours 5 minutes'
        order by created_at desc
        offset ${mostAnonymous}
      ) as excess
      where r.model = excess.model and r.key = excess.key`.execute(this.#db)
  }

  #live(model: string) {
    return this.#db
      .selectFrom('oauthRecords')
      .select(['key', 'sealed', 'consumedAt'])
      .select(sql<number | null>`extract(epoch from expires_at - now())::float8`.as('secondsLeft'))
      .where('model', '=', model)
      .where((where) =>
        where.or([where('expiresAt', 'is', null), where('expiresAt', '>', sql<Date>`now()`)]),
      )
  }
}

const secondsAgo = (seconds: number) => sql<Date>`now() - make_interval(secs => ${seconds})`
