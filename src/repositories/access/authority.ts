/**
 * The locks by which authority is part of an effect: in the transaction that acts for a session the
 * session is held live, so that whoever ends it waits for the effect or comes before it.
 *
 * The order is always a user's entrance, then sessions by id, then everything else. Turns begin in
 * it too (start-turns.ts), and no two wait for each other.
 */

import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** So long the password counts as just given. */
const PROOF_LIFE = "interval '10 minutes'"

export const isProven = sql<boolean>`coalesce(proven_at > now() - ${sql.raw(PROOF_LIFE)}, false)`

/** What a live session may do (null: everything), and whether its user has just given the password. */
export type HeldSession = { scopes: string[] | null; isProven: boolean }

export class AuthorityRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Keeps every other transaction from beginning a session of the user's, and from ending all of
   * them, until this one ends. Statements after it see each session that was begun before it.
   */
  async lockEntrance(userId: string): Promise<void> {
    await sql`select ${entranceOf(userId)}`.execute(this.#db)
  }

  /**
   * Keeps a session from being ended until the transaction ends.
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
   * Locks live sessions of the user's for a change: all of them, or the named.
   *
   * @returns those that are live, by their ids.
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

/** Whose holder alone begins sessions of the user's. No row: those are locked in the turns' order. */
export const entranceOf = (userId: string) =>
  sql`pg_advisory_xact_lock(hashtextextended('sessions of ' || ${userId}::text, 0))`
