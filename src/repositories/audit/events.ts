import { type Kysely, sql } from 'kysely'
import type { AuditEventsTable, Schema } from '../../database/schema.ts'
import { type NewWebhookEvent, WebhookEventRepository } from '../webhooks/webhook-events.ts'

/** The end of a chain as the next event continues it. */
export type LockedHead = { seq: string; hash: Buffer | null; at: string }

/** An event as it is stored. `seq`: decimal. `at`: ISO 8601, UTC, with milliseconds. */
export type StoredEvent = Omit<AuditEventsTable, 'at'> & { at: string }

/** The same with its hashes in hex. */
export type ListedEvent = Omit<StoredEvent, 'prevHash' | 'hash' | 'mac'> & {
  prevHash: string
  hash: string
  mac: string
}

export type Head = { chain: string; seq: string; hash: Buffer }

const isoTime = (time: string) =>
  `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

const COLUMNS = sql.raw(`chain, seq::text, ${isoTime('at')} as at, action, actor_kind, actor_id,
  session_id, address_prefix, target_kind, target_id, team_id, detail, prev_hash, hash, mac, key_id`)

/** Between events, between their fields, and for null: JSON has none of them. */
const [EVENT_END, FIELD_END, NULL] = ['\x1e', '\x1f', '\x1d']
const fieldEnd = `E'\\x1f'`
const orNull = (field: string) => `coalesce(${field}, E'\\x1d')`
const PACKED_FIELDS = [
  'seq::text',
  isoTime('at'),
  'action',
  'actor_kind',
  orNull('actor_id::text'),
  orNull('session_id::text'),
  orNull('address_prefix'),
  orNull('target_kind'),
  orNull('target_id'),
  orNull('team_id::text'),
  'detail',
  `encode(prev_hash, 'hex')`,
  `encode(hash, 'hex')`,
  `encode(mac, 'hex')`,
  'key_id',
]
const PACKED = sql.raw(PACKED_FIELDS.join(` || ${fieldEnd} || `))

function toEvent(chain: string, packed: string): ListedEvent {
  const fields = packed.split(FIELD_END)
  const text = (place: number) => fields[place] ?? ''
  const orNothing = (place: number) => (fields[place] === NULL ? null : text(place))
  return {
    chain,
    seq: text(0),
    at: text(1),
    action: text(2),
    actorKind: text(3),
    actorId: orNothing(4),
    sessionId: orNothing(5),
    addressPrefix: orNothing(6),
    targetKind: orNothing(7),
    targetId: orNothing(8),
    teamId: orNothing(9),
    detail: text(10),
    prevHash: text(11),
    hash: fields.length === PACKED_FIELDS.length ? text(12) : '',
    mac: text(13),
    keyId: text(14),
  }
}

/** After any event. */
const MOST_SEQ = '9223372036854775807'

/** The audit log's chains. Events are only added. */
export class AuditEventRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Locks the end of a chain until the transaction ends: one event after the other. Last in the order
   * of locks, so that a transaction that waits here holds all that it needs.
   *
   * @returns `hash` null before the first event; `at`: by the database's clock.
   */
  async lockHead(chain: string): Promise<LockedHead> {
    const { rows } = await this.#lock(chain)
    if (rows[0]) return rows[0]
    await sql`
      insert into audit_heads (chain, seq, hash)
      values (${chain}::uuid, 0, decode(repeat('00', 32), 'hex'))
      on conflict do nothing`.execute(this.#db)
    const [head] = (await this.#lock(chain)).rows
    if (!head) throw new Error('the end of an audit chain was deleted')
    return head
  }

  #lock(chain: string) {
    return sql<LockedHead>`
      select seq::text, case when seq > 0 then hash end as hash,
        ${sql.raw(isoTime('clock_timestamp()'))} as at
      from audit_heads where chain = ${chain}::uuid
      for update`.execute(this.#db)
  }

  /** What programs elsewhere are told of the same act, in its transaction. Before the head is locked. */
  async tell(event: NewWebhookEvent): Promise<void> {
    await new WebhookEventRepository(this.#db).insert(event)
  }

  /** Adds the event and moves the head, which must be locked. */
  async append(event: StoredEvent): Promise<void> {
    const { chain, seq, hash } = event
    await sql`
      with head as (
        update audit_heads set seq = ${seq}::bigint, hash = ${hash} where chain = ${chain}::uuid
      )
      insert into audit_events (chain, seq, at, action, actor_kind, actor_id, session_id,
        address_prefix, target_kind, target_id, team_id, detail, prev_hash, hash, mac, key_id)
      values (${chain}::uuid, ${seq}::bigint, ${event.at}::timestamptz, ${event.action},
        ${event.actorKind}, ${event.actorId}::uuid, ${event.sessionId}::uuid, ${event.addressPrefix},
        ${event.targetKind}, ${event.targetId}, ${event.teamId}::uuid, ${event.detail},
        ${event.prevHash}, ${hash}, ${event.mac}, ${event.keyId})`.execute(this.#db)
  }

  /** The ends of all chains, or of one, by chain. */
  async listHeads(chain?: string): Promise<Head[]> {
    return this.#db
      .selectFrom('auditHeads')
      .select(['chain', 'seq', 'hash'])
      .$if(chain !== undefined, (query) => query.where('chain', '=', chain as string))
      .orderBy('chain')
      .execute()
  }

  /** Chains of which there are events, whether or not they have a head. */
  async listChains(): Promise<string[]> {
    const rows = await this.#db.selectFrom('auditEvents').select('chain').distinct().execute()
    return rows.map(({ chain }) => chain)
  }

  /**
   * The next events of a chain, in order. They come as one text, in a fifth of the time that so many
   * rows take; the text is in the order of the subquery. An event that holds a separator comes with
   * an empty hash.
   */
  async list(chain: string, afterSeq: string, limit: number): Promise<ListedEvent[]> {
    const { rows } = await sql<{ events: string | null }>`
      select string_agg(fields, ${EVENT_END}) as events
      from (
        select ${PACKED} as fields
        from audit_events
        where chain = ${chain}::uuid and seq > ${afterSeq}::bigint
        order by seq
        limit ${limit}
      ) as page`.execute(this.#db)
    const events = rows[0]?.events ?? null
    return events === null ? [] : events.split(EVENT_END).map((event) => toEvent(chain, event))
  }

  /** The events of a chain before one, the newest first. */
  async page(chain: string, beforeSeq: string | null, limit: number): Promise<StoredEvent[]> {
    const { rows } = await sql<StoredEvent>`
      select ${COLUMNS}
      from audit_events
      where chain = ${chain}::uuid and seq < coalesce(${beforeSeq}::bigint, ${MOST_SEQ}::bigint)
      order by audit_events.seq desc
      limit ${limit}`.execute(this.#db)
    return rows
  }
}
