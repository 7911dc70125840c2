import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** What programs elsewhere are to be told. `data`: ids and figures, never text or names of people. */
export type NewWebhookEvent = {
  id: string
  event: string
  /** The team that it is about; null: none. */
  teamId: string | null
  data: Record<string, unknown>
}

export type WebhookEventRow = NewWebhookEvent & { occurredAt: Date }

/** Events between the transaction of their act and the queues of the webhooks. */
export class WebhookEventRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Part of the transaction of the act: what cannot be told does not happen. */
  async insert({ data, ...event }: NewWebhookEvent): Promise<void> {
    await this.#db
      .insertInto('webhookEvents')
      .values({ ...event, data: JSON.stringify(data) })
      .execute()
  }

  /** Removes the oldest ones, and skips what another replica has in hand. */
  async take(limit: number): Promise<WebhookEventRow[]> {
    const { rows } = await sql<WebhookEventRow>`
      delete from webhook_events where id in (
        select id from webhook_events order by occurred_at, id limit ${limit} for update skip locked
      )
      returning id, event, team_id, data, occurred_at`.execute(this.#db)
    return rows.sort((a, b) => a.occurredAt.getTime() - b.occurredAt.getTime())
  }
}
