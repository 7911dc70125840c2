import { type Kysely, sql } from 'kysely'
import type { Schema } from '../database/schema.ts'
import { leaseEnd } from './messages.ts'

/** Which process is generating which answer, and what becomes of an answer whose process died. */
export class LeaseRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Renews the named answers of this process in one statement. */
  async renew(replicaId: string, answerIds: readonly string[], leaseSeconds: number) {
    await this.#db
      .updateTable('messages')
      .set({ leaseExpiresAt: leaseEnd(leaseSeconds) })
      .where('id', 'in', answerIds)
      .where('replicaId', '=', replicaId)
      .where('status', '=', 'running')
      .execute()
  }

  /**
   * Closes answers that other processes left behind, both rows of each turn, and frees their
   * conversations, in one statement.
   *
   * @param inHand ids of the answers this process is still generating; they are left alone.
   * @param which `expired`: whose lease ran out. `all`: whatever is not in hand, for the start on a
   *   database that only one process can have open.
   * @returns ids of the answers closed.
   */
  async closeOrphans(inHand: readonly string[], which: 'expired' | 'all'): Promise<string[]> {
    const orphaned = which === 'expired' ? sql`lease_expires_at < now()` : sql`true`
    const inHandIds = sql`string_to_array(${inHand.join(',')}, ',')::uuid[]`
    const { rows } = await sql<{ id: string }>`
      with answers as (
        update messages set
          status = 'interrupted', error_code = 'interrupted', finished_at = now(),
          replica_id = null, lease_expires_at = null
        where role = 'assistant' and status = 'running'
          and id <> all (${inHandIds}) and ${orphaned}
        returning id, conversation_id, position
      ), questions as (
        update messages m set status = 'interrupted', finished_at = now()
        from answers a
        where m.conversation_id = a.conversation_id and m.position = a.position - 1
      ), freed as (
        update conversations c set running_message_id = null, updated_at = now()
        from answers a
        where c.id = a.conversation_id and c.running_message_id = a.id
      )
      select id from answers`.execute(this.#db)
    return rows.map((row) => row.id)
  }
}
