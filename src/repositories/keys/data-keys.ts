import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { toConversationRef } from '../access/conversation-ref.ts'

export type KeyedKind =
  | 'users'
  | 'teams'
  | 'webhooks'
  | 'conversations'
  | 'names'
  | 'signing keys'
  | 'audit keys'
  | 'records of OAuth'
  | 'passwords'

/** Tables whose rows have a data key each, bound to their id alone. */
export type KeyOwners = 'users' | 'teams' | 'webhooks'

/**
 * Values sealed directly under the key-encryption key. Bytes 2 to 9 of a sealed value are the id of
 * its key, so values under an older key are found without opening anything.
 *
 * Skips rows that another replica has locked.
 */
export class DataKeyRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * How many values are under which key, by the table they are in; `keyId`: 16 hex digits. Password
   * hashes name the key of their HMAC, or null when an older build made them.
   */
  async countByKey(): Promise<{ kind: KeyedKind; keyId: string | null; count: number }[]> {
    const { rows } = await sql<{ kind: KeyedKind; keyId: string | null; count: number }>`
      select kind, encode(key_id, 'hex') as key_id, count(*)::float8 as count
      from (
        select 'users' as kind, substring(data_key from 2 for 8) as key_id from users
        union all select 'teams', substring(data_key from 2 for 8) from teams
        union all select 'webhooks', substring(data_key from 2 for 8) from webhooks
        union all select 'conversations', substring(data_key from 2 for 8) from conversations
        union all select 'names', substring(data_key from 2 for 8) from name_keys
        union all select 'signing keys', substring(sealed from 2 for 8) from signing_keys
        union all select 'audit keys', substring(data_key from 2 for 8) from audit_keys
        union all select 'records of OAuth', substring(sealed from 2 for 8) from oauth_records
        union all select 'passwords',
          decode(substring(password_hash, ',keyid=([A-Za-z0-9+/]{11})[$]') || '=', 'base64')
        from users
      ) as keyed
      group by kind, key_id
      order by kind, key_id`.execute(this.#db)
    return rows
  }

  /** `currentKeyId`: 16 hex digits. */
  async listOwners(table: KeyOwners, currentKeyId: string, limit: number) {
    return this.#db
      .selectFrom(table)
      .select(['id', 'dataKey'])
      .where(isUnderAnother(sql.ref('data_key'), currentKeyId))
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute()
  }

  async updateOwner(table: KeyOwners, id: string, dataKey: Buffer): Promise<void> {
    await this.#db.updateTable(table).set({ dataKey }).where('id', '=', id).execute()
  }

  async listConversations(currentKeyId: string, limit: number) {
    const rows = await this.#db
      .selectFrom('conversations')
      .select(['id', 'dataKey', sql<string>`coalesce(sealed_for, user_id)`.as('sealedFor')])
      .where(isUnderAnother(sql.ref('data_key'), currentKeyId))
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute()
    return rows.map(toConversationRef)
  }

  async updateConversation(id: string, dataKey: Buffer): Promise<void> {
    await this.#db.updateTable('conversations').set({ dataKey }).where('id', '=', id).execute()
  }

  /** The key that hashes the names of deleted accounts. */
  async findNames(currentKeyId: string): Promise<Buffer | undefined> {
    const row = await this.#db
      .selectFrom('nameKeys')
      .select('dataKey')
      .where(isUnderAnother(sql.ref('data_key'), currentKeyId))
      .forUpdate()
      .skipLocked()
      .executeTakeFirst()
    return row?.dataKey
  }

  async updateNames(dataKey: Buffer): Promise<void> {
    await this.#db.updateTable('nameKeys').set({ dataKey }).execute()
  }

  async listSigning(currentKeyId: string, limit: number) {
    return this.#db
      .selectFrom('signingKeys')
      .select(['kid', 'sealed'])
      .where(isUnderAnother(sql.ref('sealed'), currentKeyId))
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute()
  }

  async listAudit(currentKeyId: string, limit: number) {
    return this.#db
      .selectFrom('auditKeys')
      .select(['id', 'dataKey', 'sealed'])
      .where(isUnderAnother(sql.ref('data_key'), currentKeyId))
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute()
  }

  async updateAudit(id: string, key: { dataKey: Buffer; sealed: Buffer }): Promise<void> {
    await this.#db.updateTable('auditKeys').set(key).where('id', '=', id).execute()
  }

  async listOAuthRecords(currentKeyId: string, limit: number) {
    return this.#db
      .selectFrom('oauthRecords')
      .select(['model', 'key', 'sealed'])
      .where(isUnderAnother(sql.ref('sealed'), currentKeyId))
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute()
  }

  async updateOAuthRecord(model: string, key: Buffer, sealed: Buffer): Promise<void> {
    await this.#db
      .updateTable('oauthRecords')
      .set({ sealed })
      .where('model', '=', model)
      .where('key', '=', key)
      .execute()
  }

  async updateSigning(kid: string, sealed: Buffer): Promise<void> {
    await this.#db.updateTable('signingKeys').set({ sealed }).where('kid', '=', kid).execute()
  }
}

const isUnderAnother = (column: RawBuilder<unknown>, currentKeyId: string) =>
  sql<boolean>`encode(substring(${column} from 2 for 8), 'hex') <> ${currentKeyId}`
