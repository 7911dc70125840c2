/**
 * Locks that make the authorization part of a transaction: the session that it acts for is locked
 * while live, so that a revocation waits for the transaction or precedes it.
 *
 * Lock order: a user's entrance, then sessions by id, then everything else. Turns begin in the same
 * order (start-turns.ts), which prevents deadlocks.
 */

import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** How long the password counts as recently given. */
const PROOF_LIFE = "interval '10 minutes'"

export const isProven = sql<boolean>`coalesce(proven_at > now() - ${sql.raw(PROOF_LIFE)}, false)`

/** A live session's scopes (null: all), and whether its user recently gave the password. */
export type HeldSession = { scopes: string[] | null; isProven: boolean }

export class AuthorityRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Until the transaction ends, no other transaction begins a session of the user's or ends all of
   * them. Later statements see each session that was begun before. An advisory lock, since rows are
   * locked in the order of the turns.
   */
  async lockEntrance(userId: string): Promise<void> {
    await sql`select pg_advisory_xact_lock(hashtextextended('sessions of ' || ${userId}::text, 0))`.execute(
      this.#db,
    )
  }

  /** Whether the user may not sign in. Read it under the lock of their entrance. */
  async isSuspended(userId: string): Promise<boolean> {
    const user = await this.#db
      .selectFrom('users')
      .select('suspendedAt')
      .where('id', '=', userId)
      .executeTakeFirst()
    return user !== undefined && user.suspendedAt !== null
  }

  /**
   * Locks a live session, so that it cannot end before the transaction does.
   *
   * @returns undefined when it has ended.
   */
  async holdLive(id: string, userId: string): Promise<HeldSession | undefined> {
    return this.#live(userId)
      .select(['scopes', isProven.as('isProven')])
      .where('id', '=', id)
      .forShare()
      .executeTakeFirst()
  }

  /**
   * Locks live sessions of the user's for a change: all of them, or the given ones.
   *
   * @returns the live ones, by id.
   */
  async lockLive(userId: string, ids?: readonly string[]): Promise<Map<string, HeldSession>> {
    const rows = await this.#live(userId)
      .select(['id', 'scopes', isProven.as('isProven')])
      .$if(ids !== undefined, (query) => query.where('id', 'in', ids ?? []))
      .orderBy('id')
      .forNoKeyUpdate()
      .execute()
    return new Map(rows.map(({ id, ...held }) => [id, held]))
  }

  #live(userId: string) {
    return this.#db
      .selectFrom('sessions')
      .where('userId', '=', userId)
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
  }
}
