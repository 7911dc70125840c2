import { type Kysely, sql } from 'kysely'
import type { DisabledReason, Schema } from '../../database/schema.ts'

export type { DisabledReason }

/** Sealed: `dataKey` under the KEK, all others under that. */
export type SealedWebhook = {
  id: string
  teamId: string | null
  dataKey: Buffer
  url: Buffer
  secret: Buffer
  previousSecret: Buffer | null
  events: string[]
  disabledAt: Date | null
}

export type ListedWebhook = Pick<SealedWebhook, 'id' | 'teamId' | 'dataKey' | 'url' | 'events'> & {
  teamName: string | null
  createdAt: Date
  deliveredAt: Date | null
  failingSince: Date | null
  lastProblem: string | null
  /** Deliveries on their way, and given up. */
  queued: number
  dropped: number
  disabledAt: Date | null
  disabledReason: DisabledReason | null
}

/** One to which an event may go. */
export type Receiver = Pick<SealedWebhook, 'id' | 'teamId' | 'dataKey' | 'events'> & {
  createdAt: Date
  queued: number
}

/** Whose: a team's, or (null) the installation's. */
type Owner = { teamId: string | null }

export class WebhookRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Until the transaction ends, no other transaction adds one for this owner. */
  async lockOwner({ teamId }: Owner): Promise<void> {
    await sql`select pg_advisory_xact_lock(hashtextextended(${`webhooks ${teamId}`}, 0))`.execute(
      this.#db,
    )
  }

  async count({ teamId }: Owner): Promise<number> {
    const row = await this.#db
      .selectFrom('webhooks')
      .select((select) => select.fn.countAll<string>().as('count'))
      .where('teamId', teamId === null ? 'is' : '=', teamId)
      .executeTakeFirstOrThrow()
    return Number(row.count)
  }

  async insert(
    webhook: Omit<SealedWebhook, 'previousSecret' | 'disabledAt'> & { createdBy: string | null },
  ): Promise<void> {
    await this.#db.insertInto('webhooks').values(webhook).execute()
  }

  /** Of one owner, oldest first; without one, of all. */
  async list(owner?: Owner): Promise<ListedWebhook[]> {
    const whose =
      owner === undefined ? sql`true` : sql`w.team_id is not distinct from ${owner.teamId}::uuid`
    const { rows } = await sql<ListedWebhook>`
      select w.id, w.team_id, t.name as team_name, w.data_key, w.url, w.events, w.created_at,
        w.delivered_at, w.failing_since, w.last_problem, w.dropped::float8 as dropped,
        w.disabled_at, w.disabled_reason, ${QUEUED} as queued
      from webhooks w left join teams t on t.id = w.team_id
      where ${whose}
      order by w.created_at, w.id`.execute(this.#db)
    return rows
  }

  /** Whose it is; undefined when there is no such webhook. */
  async findOwner(id: string): Promise<Owner | undefined> {
    return this.#db.selectFrom('webhooks').select('teamId').where('id', '=', id).executeTakeFirst()
  }

  /** Locks it until the transaction ends. Undefined also when it is another owner's. */
  async lock(id: string, { teamId }: Owner): Promise<SealedWebhook | undefined> {
    return this.#db
      .selectFrom('webhooks')
      .select([
        'id',
        'teamId',
        'dataKey',
        'url',
        'secret',
        'previousSecret',
        'events',
        'disabledAt',
      ])
      .where('id', '=', id)
      .where('teamId', teamId === null ? 'is' : '=', teamId)
      .forUpdate()
      .executeTakeFirst()
  }

  /** The secret that it had goes on signing for `seconds`. */
  async replaceSecret(
    id: string,
    {
      secret,
      previousSecret,
      seconds,
    }: { secret: Buffer; previousSecret: Buffer; seconds: number },
  ): Promise<void> {
    await this.#db
      .updateTable('webhooks')
      .set({
        secret,
        previousSecret,
        previousUntil: sql<Date>`now() + make_interval(secs => ${seconds})`,
      })
      .where('id', '=', id)
      .execute()
  }

  async enable(id: string): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('webhooks')
      .set({ disabledAt: null, disabledReason: null, failingSince: null, lastProblem: null })
      .where('id', '=', id)
      .where('disabledAt', 'is not', null)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  /** Gives up what is on its way to it. @returns false when it was disabled before. */
  async disable(id: string, reason: DisabledReason): Promise<boolean> {
    const { rows } = await sql<{ id: string }>`
      with given_up as (
        delete from webhook_deliveries d using webhooks w
        where d.webhook_id = ${id}::uuid and d.delivered_at is null
          and w.id = d.webhook_id and w.disabled_at is null
        returning d.id
      )
      update webhooks set disabled_at = now(), disabled_reason = ${reason},
        dropped = dropped + (select count(*) from given_up)
      where id = ${id}::uuid and disabled_at is null
      returning id`.execute(this.#db)
    return rows.length === 1
  }

  async delete(id: string): Promise<void> {
    await this.#db.deleteFrom('webhooks').where('id', '=', id).execute()
  }

  /** All that are to be told of something. */
  async listReceivers(): Promise<Receiver[]> {
    const { rows } = await sql<Receiver>`
      select w.id, w.team_id, w.data_key, w.events, w.created_at, ${QUEUED} as queued
      from webhooks w
      where w.disabled_at is null
      order by w.id`.execute(this.#db)
    return rows
  }

  /** Deliveries that were not queued, or given up. */
  async addDropped(id: string, count: number): Promise<void> {
    await this.#db
      .updateTable('webhooks')
      .set({ dropped: sql<string>`dropped + ${count}` })
      .where('id', '=', id)
      .execute()
  }
}

const QUEUED = sql.raw(`(
        select count(*)::integer from webhook_deliveries d
        where d.webhook_id = w.id and d.delivered_at is null
      )`)
