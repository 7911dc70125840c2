import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { byteRows } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { toConversationRef } from '../access/conversation-ref.ts'
import { isKnownReservation, toReservation } from '../billing/budgets.ts'

export type WhichOrphans = 'all' | { among: readonly string[] }

const sent = byteRows({ answerId: 'uuid', content: 'bytea', tokens: 'integer' })

/** Locks the rows by id and skips locked ones, as {@link LeaseRepository.renew} does. */
const saveCheckpoints = prepare<{ replicaId: string; rows: string; bytes: Buffer }, never>(
  'save_checkpoints',
  (value) => `
  with own as (
    select m.id, c.content, c.tokens
    from ${sent.as('c', value('rows', 'json'), value('bytes', 'bytea'))}
    join messages m on m.id = c.answer_id
    where m.replica_id = ${value('replicaId', 'uuid')} and m.status = 'running'
    order by m.id
    for update of m skip locked
  )
  update messages m set content = own.content, checkpoint_tokens = own.tokens
  from own
  where m.id = own.id`,
)

/** Which process generates which answer, and the checkpoints of its text. */
export class LeaseRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Renews the leases of the given answers of this process in one statement. Locks them by id,
   * since the statement that ends turns (finish-turns.ts) also locks several. Skips a locked row
   * until the next time: no one can close that answer either while it is locked.
   *
   * @returns ids of those for which a cancel was requested.
   */
  async renew(
    replicaId: string,
    answerIds: readonly string[],
    leaseSeconds: number,
  ): Promise<string[]> {
    const own = this.#db
      .selectFrom('messages')
      .select('id')
      .where(sql<boolean>`id = any(${answerIds}::uuid[])`)
      .where('replicaId', '=', replicaId)
      .where('status', '=', 'running')
      .orderBy('id')
      .forUpdate()
      .skipLocked()
    const renewed = await this.#db
      .updateTable('messages')
      .set({ leaseExpiresAt: leaseEnd(leaseSeconds) })
      .where('id', 'in', own)
      .returning(['id', 'cancelRequestedAt'])
      .execute()
    return renewed.flatMap((row) => (row.cancelRequestedAt === null ? [] : [row.id]))
  }

  /** Saves the checkpoints of several answers of this process in one statement. */
  async saveCheckpoints(
    replicaId: string,
    checkpoints: readonly { answerId: string; content: Buffer; tokens: number }[],
  ): Promise<void> {
    await saveCheckpoints(this.#db, { replicaId, ...sent.toValues(checkpoints) })
  }

  /** The lease of each running answer, as a value that every renewal changes. */
  async listRunning(): Promise<{ id: string; lease: string }[]> {
    return this.#db
      .selectFrom('messages')
      .select(['id', sql<string>`coalesce(lease_expires_at::text, '')`.as('lease')])
      .where('role', '=', 'assistant')
      .where('status', '=', 'running')
      .execute()
  }

  /** The running answers among them whose rows are not locked, so that they could be renewed. */
  async listUnlocked(answerIds: readonly string[]): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('messages')
      .select('id')
      .where(sql<boolean>`id = any(${answerIds}::uuid[])`)
      .where('status', '=', 'running')
      .orderBy('id')
      .forUpdate()
      .skipLocked()
      .execute()
    return rows.map(({ id }) => id)
  }

  /**
   * The next orphans, those with the oldest lease first, without those whose reservation only a later
   * build can settle. `userId`: the sender.
   *
   * @param inHand ids to leave out, mainly the answers that this process is still generating.
   * @param which `among`: those that were watched for long enough (lease-watch.ts). `all`: all that
   *   are not in hand, for the start on a database that only one process can open.
   */
  async listOrphans(inHand: readonly string[], which: WhichOrphans) {
    const rows = await this.#db
      .selectFrom('messages')
      .innerJoin('conversations', 'conversations.id', 'messages.conversationId')
      .select([
        'messages.id',
        'messages.conversationId',
        'messages.content',
        'messages.position',
        'messages.model',
        'messages.tag',
        'messages.reservation',
        'messages.createdAt',
        'conversations.dataKey',
      ])
      .select([
        sql<string>`coalesce(messages.sender_id, messages.user_id)`.as('userId'),
        sql<string>`coalesce(conversations.sealed_for, conversations.user_id)`.as('sealedFor'),
        sql<number>`extract(epoch from now() - messages.created_at)::float8 * 1000`.as('ageMs'),
      ])
      .where('messages.role', '=', 'assistant')
      .where('messages.status', '=', 'running')
      .where(sql<boolean>`messages.id <> all(${inHand}::uuid[])`)
      .where(sql.raw<boolean>(isKnownReservation('messages.reservation')))
      .$if(which !== 'all', (query) =>
        query.where(
          sql<boolean>`messages.id = any(${(which as { among: string[] }).among}::uuid[])`,
        ),
      )
      .orderBy('messages.leaseExpiresAt')
      .limit(ORPHANS_AT_ONCE)
      .execute()
    return rows.map(({ sealedFor, dataKey, ...row }) => ({
      ...row,
      conversation: toConversationRef({ id: row.conversationId, sealedFor, dataKey }),
      reservation: row.reservation && toReservation(row.reservation),
    }))
  }
}

/** With their texts, so bounded to fit into memory. */
const ORPHANS_AT_ONCE = 200

const leaseEnd = (leaseSeconds: number) => sql<Date>`now() + make_interval(secs => ${leaseSeconds})`
