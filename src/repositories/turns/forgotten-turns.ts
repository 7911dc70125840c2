import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

const TURNS_AT_ONCE = 500

/** Turns that were never billed: their rows show for a day how they ended, without any text. */
export class ForgottenTurnRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Deletes some of the old ones, and conversations that become empty, or are branches of which no
   * turn of their own is kept. Call it in a transaction. Skips locked rows, which the next call
   * deletes. Locks the user's storage row first, since the triggers of the deleted rows write it.
   *
   * @returns the number of turns.
   */
  async deleteOld(): Promise<number> {
    const { rows } = await sql<{ conversationId: string; turns: string }>`
      with old as (
        select answer_id, conversation_id, user_id from forgotten_turns
        where finished_at < now() - interval '1 day'
        order by finished_at
        limit ${TURNS_AT_ONCE}
      ),
      users as materialized (
        select user_id from storage where user_id in (select user_id from old)
        for update skip locked
      ),
      free as materialized (
        select c.id from conversations c
        where c.id in (select conversation_id from old join users using (user_id))
          and c.running_message_id is null
        for update skip locked
      ),
      turns as (
        delete from forgotten_turns f using old, free
        where f.answer_id = old.answer_id and free.id = old.conversation_id
        returning f.answer_id, f.conversation_id
      ),
      gone as (
        delete from messages m
        using turns t join messages answer on answer.id = t.answer_id
        where m.conversation_id = answer.conversation_id
          and m.position between answer.position - 1 and answer.position
        returning m.conversation_id
      ),
      counted as (
        update conversations c set messages_deleted = c.messages_deleted + g.messages
        from (select conversation_id, count(*)::integer as messages from gone group by 1) as g
        where c.id = g.conversation_id
      )
      select conversation_id, count(*) as turns from turns group by 1`.execute(this.#db)
    await this.#deleteEmpty(rows.map(({ conversationId }) => conversationId))
    return rows.reduce((sum, { turns }) => sum + Number(turns), 0)
  }

  async #deleteEmpty(ids: readonly string[]): Promise<void> {
    await this.#db
      .deleteFrom('conversations')
      .where(sql<boolean>`id = any(${ids}::uuid[])`)
      .where('runningMessageId', 'is', null)
      .where(
        sql<boolean>`message_count <= messages_deleted or (
          not is_listed and branched_from is not null
          and not exists (select from forgotten_turns f where f.conversation_id = conversations.id)
        )`,
      )
      .execute()
  }
}
