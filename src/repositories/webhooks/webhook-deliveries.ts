import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

export type NewDelivery = {
  id: string
  webhookId: string
  event: string
  /** Sealed. */
  body: Buffer
}

/** One attempt that this process is to make, with what opens it. */
export type ClaimedDelivery = NewDelivery & {
  /** This one included. */
  attempts: number
  dataKey: Buffer
  url: Buffer
  secret: Buffer
  /** Signs as well, while the secret is being replaced. */
  previousSecret: Buffer | null
}

export type ShownDelivery = {
  event: string
  createdAt: Date
  attempts: number
  deliveredAt: Date | null
  nextAttemptAt: Date
  lastStatus: number | null
}

/** How many are claimed at once: of all webhooks, and of one, so that a slow one holds up no other. */
export type ClaimLimits = { total: number; ofOne: number }

export class WebhookDeliveryRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async insert(deliveries: readonly NewDelivery[]): Promise<void> {
    if (deliveries.length === 0) return
    await this.#db
      .insertInto('webhookDeliveries')
      .values([...deliveries])
      .execute()
  }

  /** Whether there is anything to queue or to deliver; a look that locks nothing. */
  async isAnythingDue(): Promise<boolean> {
    const { rows } = await sql<{ isDue: boolean }>`
      select exists (select from webhook_events)
        or exists (select from budget_alerts where told_at is null)
        or exists (
          select from webhook_deliveries where delivered_at is null and next_attempt_at <= now()
        ) as is_due`.execute(this.#db)
    return rows[0]?.isDue ?? false
  }

  /**
   * Takes deliveries that are due. Each is due again after `leaseSeconds`, so that another process
   * goes on with it if this one dies; until then no other takes it.
   *
   * @param withTeams whether also to those of teams.
   */
  async claim(
    { total, ofOne }: ClaimLimits,
    leaseSeconds: number,
    withTeams: boolean,
  ): Promise<ClaimedDelivery[]> {
    const { rows } = await sql<ClaimedDelivery>`
      with due as (
        select d.id
        from webhooks w
        cross join lateral (
          select d.id from webhook_deliveries d
          where d.webhook_id = w.id and d.delivered_at is null and d.next_attempt_at <= now()
          order by d.next_attempt_at
          limit ${ofOne}
          for update skip locked
        ) as d
        where w.disabled_at is null and (w.team_id is null or ${withTeams}::boolean)
        order by random()
        limit ${total}
      )
      update webhook_deliveries d set
        attempts = d.attempts + 1,
        next_attempt_at = now() + make_interval(secs => ${leaseSeconds})
      from due, webhooks w
      where d.id = due.id and w.id = d.webhook_id
      returning d.id, d.webhook_id, d.event, d.body, d.attempts, w.data_key, w.url, w.secret,
        case when w.previous_until > now() then w.previous_secret end as previous_secret`.execute(
      this.#db,
    )
    return rows
  }

  /** Also ends the webhook's time of failures. */
  async setDelivered({ id, webhookId }: ClaimedDelivery, status: number): Promise<void> {
    await sql`
      with delivered as (
        update webhook_deliveries set delivered_at = now(), last_status = ${status}
        where id = ${id}::uuid
      )
      update webhooks set delivered_at = now(), failing_since = null, last_problem = null
      where id = ${webhookId}::uuid`.execute(this.#db)
  }

  /**
   * Plans the next attempt, or gives it up (null).
   *
   * @returns for how many seconds nothing has reached the webhook.
   */
  async setFailed(
    { id, webhookId }: ClaimedDelivery,
    failure: { status: number | null; problem: string; againInSeconds: number | null },
  ): Promise<number> {
    const { status, problem, againInSeconds } = failure
    const { rows } = await sql<{ failingSeconds: number }>`
      with given_up as (
        delete from webhook_deliveries where id = ${id}::uuid and ${againInSeconds === null}::boolean
        returning id
      ),
      planned as (
        update webhook_deliveries set last_status = ${status}::integer,
          next_attempt_at = now() + make_interval(secs => ${againInSeconds ?? 0})
        where id = ${id}::uuid and not ${againInSeconds === null}::boolean
      )
      update webhooks set failing_since = coalesce(failing_since, now()), last_problem = ${problem},
        dropped = dropped + (select count(*) from given_up)
      where id = ${webhookId}::uuid
      returning extract(epoch from now() - failing_since)::float8 as failing_seconds`.execute(
      this.#db,
    )
    return rows[0]?.failingSeconds ?? 0
  }

  /** The newest of one webhook. */
  async list(webhookId: string, limit: number): Promise<ShownDelivery[]> {
    return this.#db
      .selectFrom('webhookDeliveries')
      .select(['event', 'createdAt', 'attempts', 'deliveredAt', 'nextAttemptAt', 'lastStatus'])
      .where('webhookId', '=', webhookId)
      .orderBy('createdAt', 'desc')
      .orderBy('id', 'desc')
      .limit(limit)
      .execute()
  }

  /** Those that arrived a while ago. */
  async deleteOld(): Promise<void> {
    await sql`
      delete from webhook_deliveries where delivered_at < now() - interval '3 days'`.execute(
      this.#db,
    )
  }
}
