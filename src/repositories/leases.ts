import { type Kysely, sql } from 'kysely'
import type { Schema } from '../database/schema.ts'
import { leaseEnd } from './messages.ts'

/** Which process is generating which answer, and what becomes of an answer whose process died. */
export class LeaseRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Renews every answer of this process in one statement. */
  async renew(replicaId: string, leaseSeconds: number): Promise<void> {
    await this.#db
      .updateTable('messages')
      .set({ leaseExpiresAt: leaseEnd(leaseSeconds) })
      .where('replicaId', '=', replicaId)
      .where('status', '=', 'running')
      .where('role', '=', 'assistant')
      .execute()
  }

  /**
   * Closes answers that nobody generates any more, both rows of each turn, and frees their
   * conversations, in one statement.
   *
   * @param scope `expired`: leases that ran out. `foreign`: whatever this process did not begin,
   *   for a database that only one process can have open.
   * @returns ids of the answers closed.
   */
  async closeOrphans(scope: 'expired' | { foreignTo: string }): Promise<string[]> {
    const orphaned =
      scope === 'expired'
        ? sql`lease_expires_at < now()`
        : sql`replica_id is distinct from ${scope.foreignTo}::uuid`
    const { rows } = await sql<{ id: string }>`
      with answers as (
        update messages set
          status = 'interrupted', error_code = 'interrupted', finished_at = now(),
          replica_id = null, lease_expires_at = null
        where role = 'assistant' and status = 'running' and ${orphaned}
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
