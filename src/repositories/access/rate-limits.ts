import { type Kysely, sql } from 'kysely'
import { Alone } from '../../database/alone.ts'
import type { Schema } from '../../database/schema.ts'

/** After this the process counts by itself, as when the database is away. */
const LOCK_LIMIT = '1s'

/** Counters shared by all replicas; each call is one statement, serialized by the row lock. */
export class RateLimitRepository {
  readonly #db: Kysely<Schema>
  readonly #alone = new Alone()

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Counts one hit, and starts a new window when the last one is over, by PostgreSQL's clock.
   *
   * @throws AppError database_unavailable, also when the counter stays locked.
   */
  take(key: string, windowMs: number): Promise<{ hits: number; resetAt: Date }> {
    return this.#alone.run(key, false, () => this.#take(key, windowMs))
  }

  async #take(key: string, windowMs: number): Promise<{ hits: number; resetAt: Date }> {
    const window = sql`make_interval(secs => ${windowMs / 1000})`
    const { rows } = await sql<{ hits: number; resetAt: Date }>`
      insert into rate_limits as r (key, hits, reset_at)
      select ${key}, 1, now() + ${window} from set_config('lock_timeout', ${LOCK_LIMIT}, true)
      on conflict (key) do update set
        hits = case when r.reset_at <= now() then 1 else r.hits + 1 end,
        reset_at = case when r.reset_at <= now() then now() + ${window} else r.reset_at end
      returning hits, reset_at`.execute(this.#db)
    const row = rows[0]
    if (row === undefined) throw new Error('rate_limits: the upsert returned no row')
    return row
  }

  async giveBack(key: string): Promise<void> {
    await this.#db
      .updateTable('rateLimits')
      .set({ hits: sql`greatest(hits - 1, 0)` })
      .where('key', '=', key)
      .execute()
  }

  async delete(key: string): Promise<void> {
    await this.#db.deleteFrom('rateLimits').where('key', '=', key).execute()
  }

  async deleteExpired(): Promise<void> {
    await this.#db
      .deleteFrom('rateLimits')
      .where('resetAt', '<', sql<Date>`now() - interval '1 minute'`)
      .execute()
  }
}
