import { type Kysely, sql } from 'kysely'
import { isConflict } from '../../database/errors.ts'
import { LIFT_STATEMENT_LIMIT } from '../../database/postgresql/dialect.ts'
import type { Schema } from '../../database/schema.ts'

/** Deletes everything about a user except what was billed. */
export class ErasureRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Answers still running in some process that the user sent, or that are in their conversations. */
  async listRunning(userId: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('messages')
      .select('id')
      .where((is) => is.or([is('userId', '=', userId), is('senderId', '=', userId)]))
      .where('status', '=', 'running')
      .where('role', '=', 'assistant')
      .execute()
    return rows.map(({ id }) => id)
  }

  /** Answers still running in some process that the user asked for. */
  async listSent(userId: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('messages')
      .select('id')
      .where((is) => is.or([is('userId', '=', userId), is('senderId', '=', userId)]))
      .where(sql<boolean>`coalesce(sender_id, user_id) = ${userId}::uuid`)
      .where('status', '=', 'running')
      .where('role', '=', 'assistant')
      .execute()
    return rows.map(({ id }) => id)
  }

  /**
   * Until the transaction ends, no other transaction adds a row that references the user.
   *
   * @returns the user's names in lower case; undefined when the user no longer exists.
   */
  async lock(userId: string): Promise<{ usernameKey: string; emailKey: string } | undefined> {
    return this.#db
      .selectFrom('users')
      .select(['usernameKey', 'emailKey'])
      .where('id', '=', userId)
      .forUpdate()
      .executeTakeFirst()
  }

  /** The calls without a conversation that are still running in some process. */
  async listCalls(userId: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('calls')
      .select('id')
      .where('userId', '=', userId)
      .execute()
    return rows.map(({ id }) => id)
  }

  /**
   * Labels in the ledger are the user's own text, and the end of their key is theirs; its figures, and
   * the keys of teams, are not.
   */
  async clearTags(userId: string): Promise<void> {
    await this.#db
      .updateTable('ledger')
      .set({ tag: null, client: null, sessionLabel: null, agentId: null })
      .set({ keyLastFour: sql`case when payer = 'team' then key_last_four end` })
      .where('userId', '=', userId)
      .where(
        sql<boolean>`(coalesce(tag, client, session_label, agent_id) is not null
          or key_last_four is not null and payer = 'user')`,
      )
      .execute()
  }

  /** The end of the user's key, and their labels, at what they sent in conversations of others. */
  async clearTraces(userId: string): Promise<void> {
    await this.#db
      .updateTable('messages')
      .set({ keyLastFour: null, tag: null })
      .where('senderId', '=', userId)
      .where(sql<boolean>`coalesce(key_last_four, tag) is not null`)
      .execute()
  }

  /** Whose budgets were nearly used up, and when. */
  async clearAlerts(userId: string): Promise<void> {
    await this.#db.deleteFrom('budgetAlerts').where('userId', '=', userId).execute()
  }

  /** Lifts the statement timeout for the transaction: deleting a long history may take longer. */
  async takeAllTime(): Promise<void> {
    await sql.raw(LIFT_STATEMENT_LIMIT).execute(this.#db)
  }

  /** Foreign keys delete everything else that references the user, except the ledger. */
  async deleteUser(userId: string): Promise<void> {
    await this.#db.deleteFrom('users').where('id', '=', userId).execute()
  }
}

/** Whether PostgreSQL aborted this transaction because of a deadlock. */
export const isDeadlock = isConflict
