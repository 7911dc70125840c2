import { type Insertable, type Kysely, sql } from 'kysely'
import type { Schema, SessionKind, SessionsTable } from '../database/schema.ts'

export type { SessionKind }

/** By which of a session's marks a request names it. Each is of one kind of secret only. */
export type SessionProof = { id: string; userId: string } | { tokenHash: Buffer }

/** A use of a session is noted down at most this often. */
const NOTED_EVERY = sql`interval '5 minutes'`

export class SessionRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async insert(session: Insertable<SessionsTable>): Promise<void> {
    await this.#db.insertInto('sessions').values(session).execute()
  }

  /** The session and its user, while it is neither expired nor revoked: the check behind every token. */
  async findLive(proof: SessionProof) {
    return this.#db
      .selectFrom('sessions')
      .innerJoin('users', 'users.id', 'sessions.userId')
      .select([
        'sessions.id',
        'sessions.kind',
        'sessions.scopes',
        'sessions.limitNanoUsd',
        'sessions.createdAt',
        'users.id as userId',
        'users.username',
        'users.usernameKey',
        sql<boolean>`coalesce(sessions.last_used_at < now() - ${NOTED_EVERY}, true)`.as(
          'isUseToBeNoted',
        ),
      ])
      .$if('id' in proof, (query) => {
        const { id, userId } = proof as { id: string; userId: string }
        return query.where('sessions.id', '=', id).where('sessions.userId', '=', userId)
      })
      .$if('tokenHash' in proof, (query) =>
        query.where('sessions.tokenHash', '=', (proof as { tokenHash: Buffer }).tokenHash),
      )
      .where('sessions.revokedAt', 'is', null)
      .where('sessions.expiresAt', '>', sql<Date>`now()`)
      .executeTakeFirst()
  }

  /** Of requests that come together, one writes. */
  async noteUse(id: string): Promise<void> {
    await this.#db
      .updateTable('sessions')
      .set({ lastUsedAt: sql<Date>`now()` })
      .where('id', '=', id)
      .where((where) =>
        where.or([
          where('lastUsedAt', 'is', null),
          where('lastUsedAt', '<', sql<Date>`now() - ${NOTED_EVERY}`),
        ]),
      )
      .execute()
  }

  /** A user's live sessions, the newest first. */
  async listLive(userId: string, limit: number) {
    return this.#db
      .selectFrom('sessions')
      .select([
        'id',
        'kind',
        'name',
        'clientId',
        'scopes',
        'limitNanoUsd',
        'createdAt',
        'expiresAt',
        'lastUsedAt',
      ])
      .where('userId', '=', userId)
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .orderBy('createdAt', 'desc')
      .orderBy('id', 'desc')
      .limit(limit)
      .execute()
  }

  /** Of a grant that is still good. */
  async findByGrant(grantId: string) {
    return this.#db
      .selectFrom('sessions')
      .select(['id', 'userId', 'scopes', 'expiresAt'])
      .where('grantId', '=', grantId)
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .executeTakeFirst()
  }

  async revokeByGrant(grantId: string): Promise<void> {
    await this.#db
      .updateTable('sessions')
      .set({ revokedAt: new Date() })
      .where('grantId', '=', grantId)
      .where('revokedAt', 'is', null)
      .execute()
  }

  /** @returns whether this call ended it: of two at once only one does. */
  async revoke(id: string, userId: string): Promise<boolean> {
    const result = await this.#db
      .updateTable('sessions')
      .set({ revokedAt: new Date() })
      .where('id', '=', id)
      .where('userId', '=', userId)
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .executeTakeFirst()
    return result.numUpdatedRows === 1n
  }

  /** @returns how many live sessions ended; one of them may be spared. */
  async revokeAll(userId: string, spared?: string): Promise<number> {
    const result = await this.#db
      .updateTable('sessions')
      .set({ revokedAt: new Date() })
      .where('userId', '=', userId)
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .$if(spared !== undefined, (query) => query.where('id', '<>', spared as string))
      .executeTakeFirst()
    return Number(result.numUpdatedRows)
  }

  async countLive(userId: string | null): Promise<number> {
    const { live } = await this.#db
      .selectFrom('sessions')
      .select((select) => select.fn.countAll<string>().as('live'))
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .$if(userId !== null, (query) => query.where('userId', '=', userId as string))
      .executeTakeFirstOrThrow()
    return Number(live)
  }

  /** Sessions are kept for a day after they ended, then they tell nothing any more. */
  async deleteEnded(): Promise<void> {
    await this.#db
      .deleteFrom('sessions')
      .where('expiresAt', '<', sql<Date>`now() - interval '1 day'`)
      .execute()
  }
}
