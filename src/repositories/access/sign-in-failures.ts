import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

export class SignInFailureRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** @returns the row's id. */
  async insert(failure: { accountKey: string; userId: string | null }): Promise<string> {
    const { id } = await this.#db
      .insertInto('signInFailures')
      .values(failure)
      .returning('id')
      .executeTakeFirstOrThrow()
    return id
  }

  /** Failures of one account in the last `windowSeconds`, and how long ago the oldest of them was. */
  async countRecent(accountKey: string, windowSeconds: number) {
    const row = await this.#db
      .selectFrom('signInFailures')
      .select((select) => select.fn.countAll<string>().as('failures'))
      .select(
        sql<number | null>`extract(epoch from now() - min(failed_at))::float8`.as('oldestSeconds'),
      )
      .where('accountKey', '=', accountKey)
      .where('failedAt', '>', sql<Date>`now() - make_interval(secs => ${windowSeconds})`)
      .executeTakeFirstOrThrow()
    return { failures: Number(row.failures), oldestSeconds: row.oldestSeconds ?? 0 }
  }

  /** Of those that {@link countRecent} counts, how many there were when this one was inserted. */
  async countUpTo(attempt: string, windowSeconds: number): Promise<number> {
    const { rows } = await sql<{ failures: number }>`
      select count(*)::integer as failures
      from sign_in_failures own
      join sign_in_failures f on f.account_key = own.account_key and f.id <= own.id
      where own.id = ${attempt}::bigint
        and f.failed_at > now() - make_interval(secs => ${windowSeconds})`.execute(this.#db)
    return rows[0]?.failures ?? 0
  }

  /** In the last 24 hours: one user's, or (null) everyone's, including unknown usernames. */
  async countLastDay(userId: string | null): Promise<number> {
    const { failures } = await this.#db
      .selectFrom('signInFailures')
      .select((select) => select.fn.countAll<string>().as('failures'))
      .where('failedAt', '>', sql<Date>`now() - interval '24 hours'`)
      .$if(userId !== null, (query) => query.where('userId', '=', userId as string))
      .executeTakeFirstOrThrow()
    return Number(failures)
  }

  /** For an attempt that was not a failure. */
  async delete(id: string): Promise<void> {
    await this.#db.deleteFrom('signInFailures').where('id', '=', id).execute()
  }

  /** Earlier failures no longer count against the account; they stay for the security status. */
  async forgive(accountKey: string): Promise<void> {
    await this.#db
      .updateTable('signInFailures')
      .set({ accountKey: '' })
      .where('accountKey', '=', accountKey)
      .execute()
  }

  async deleteOld(): Promise<void> {
    await this.#db
      .deleteFrom('signInFailures')
      .where('failedAt', '<', sql<Date>`now() - interval '24 hours'`)
      .execute()
  }
}
