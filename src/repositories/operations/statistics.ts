import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

export type Percentiles = { p50: number | null; p95: number | null; p99: number | null }

/** Figures for the metrics resource; every method takes one user's id, or null for everyone. */
export class StatisticsRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** In the last 24 hours: messages of both roles, and the users who sent them. */
  async lastDay(userId: string | null): Promise<{ messages: number; activeUsers: number }> {
    const row = await this.#db
      .selectFrom('messages')
      .select((select) => [
        select.fn.countAll<string>().as('messages'),
        // The zero UUID stands for the unnamed authors of a copy by a link.
        sql<string>`count(distinct nullif(coalesce(sender_id, user_id),
          '00000000-0000-0000-0000-000000000000'))`.as('activeUsers'),
      ])
      .where('createdAt', '>', sql<Date>`now() - interval '24 hours'`)
      .$if(userId !== null, (query) => query.where('userId', '=', userId as string))
      .executeTakeFirstOrThrow()
    return { messages: Number(row.messages), activeUsers: Number(row.activeUsers) }
  }

  /**
   * How long send_message took in the last 24 hours, and the gateway's own share of it, in
   * milliseconds; delivered answers only.
   */
  async sendTimes(userId: string | null): Promise<{ send: Percentiles; overhead: Percentiles }> {
    const mine = userId === null ? sql`true` : sql`user_id = ${userId}::uuid`
    const { rows } = await sql<Record<'send' | 'overhead', number[] | null>>`
      select
        percentile_cont(array[0.5, 0.95, 0.99]) within group (order by duration_ms) as send,
        percentile_cont(array[0.5, 0.95, 0.99]) within group (order by duration_ms - upstream_ms)
          as overhead
      from messages
      where role = 'assistant' and status = 'complete'
        and created_at > now() - interval '24 hours' and ${mine}`.execute(this.#db)
    return { send: toPercentiles(rows[0]?.send), overhead: toPercentiles(rows[0]?.overhead) }
  }

  /** How many shares and links are in force, of how many conversations and owners, by kind. */
  async countShares() {
    const { rows } = await sql<{
      kind: string
      shares: number
      conversations: number
      owners: number
    }>`
      select kind, count(*)::integer as shares, count(distinct c.id)::integer as conversations,
        count(distinct c.user_id)::integer as owners
      from (
        select g.conversation_id, case
          when g.team_id is not null then 'team'
          when g.user_id is null then 'everybody'
          when g.accepted_at is null then 'pending'
          else 'person'
        end as kind
        from conversation_grants g
        where g.expires_at is null or g.expires_at > now()
        union all
        select l.conversation_id, 'link ' || l.audience
        from conversation_links l
        where l.revoked_at is null and l.expires_at > now()
      ) as shared
      join conversations c on c.id = shared.conversation_id
      group by kind
      order by kind`.execute(this.#db)
    return rows
  }
}

function toPercentiles(values: number[] | null | undefined): Percentiles {
  const [p50 = null, p95 = null, p99 = null] = values ?? []
  return { p50, p95, p99 }
}
