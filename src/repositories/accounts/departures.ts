import { type Kysely, sql } from 'kysely'
import type { Schema, TeamRole } from '../../database/schema.ts'
import { isGrantedTo } from '../access/conversation-access.ts'
import { type ConversationRef, refColumns, toConversationRef } from '../access/conversation-ref.ts'

/** A conversation that belongs to a team of its owner's. `heirId`: who gets it; null: no member. */
export type TeamConversation = { id: string; teamId: string; heirId: string | null }

/** What a user wrote in a conversation of another. */
export type ForeignMessage = { id: string; ref: ConversationRef }

/** `content`: sealed. */
export type Withdrawal = {
  id: string
  conversationId: string
  content: Buffer
  tokenCount: number
}

/** What the departure of a user does to conversations that others take part in. */
export class DepartureRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * The user's conversations that belong to a team which is in use and which they are in, by id. Where
   * the team keeps them, the heir is the member who has contributed for longest, so that none gains the
   * right to read; members who are suspended get none.
   */
  async listOfTeams(userId: string): Promise<TeamConversation[]> {
    const { rows } = await sql<TeamConversation>`
      select c.id, c.team_id, heir.user_id as heir_id
      from conversations c
      join teams t on t.id = c.team_id and t.archived_at is null
      join team_members own on own.team_id = t.id and own.user_id = c.user_id
      left join lateral (
        select m.user_id
        from team_members m
        join users u on u.id = m.user_id and u.suspended_at is null
        join conversation_grants g on g.conversation_id = c.id and g.role = 'contributor'
          and ${IS_GRANTED}
        where m.team_id = t.id and m.user_id <> c.user_id and t.on_departure = 'keep'
        group by m.user_id
        order by min(${CONTRIBUTES_SINCE}), m.user_id
        limit 1
      ) as heir on true
      where c.user_id = ${userId}::uuid and c.is_listed
      order by c.id`.execute(this.#db)
    return rows
  }

  /** Until the transaction ends, none of them changes. Lock the user's sessions before. */
  async lockOfTeams(userId: string): Promise<void> {
    await sql`
      select c.id from conversations c
      where c.user_id = ${userId}::uuid and c.team_id is not null
      order by c.id
      for update`.execute(this.#db)
  }

  /** Until the transaction ends, what makes the heirs' claims stays. Lock the conversations before. */
  async lockClaims(conversations: readonly TeamConversation[]): Promise<void> {
    const ids = conversations.map(({ id }) => id)
    const teamIds = conversations.map(({ teamId }) => teamId)
    const heirIds = conversations.flatMap(({ heirId }) => heirId ?? [])
    await sql`
      select g.id from conversation_grants g
      where g.conversation_id = any(${ids}::uuid[])
      order by g.id
      for share`.execute(this.#db)
    await sql`
      select t.id from teams t
      join team_members m on m.team_id = t.id and m.user_id = any(${heirIds}::uuid[])
      where t.id = any(${teamIds}::uuid[])
      order by t.id, m.user_id
      for share`.execute(this.#db)
    await sql`
      select u.id from users u
      where u.id = any(${heirIds}::uuid[])
      order by u.id
      for key share`.execute(this.#db)
  }

  /** The teams in use that the user is in, by id. */
  async listTeams(userId: string): Promise<{ teamId: string; role: TeamRole }[]> {
    const { rows } = await sql<{ teamId: string; role: TeamRole }>`
      select m.team_id, m.role
      from team_members m join teams t on t.id = m.team_id and t.archived_at is null
      where m.user_id = ${userId}::uuid
      order by m.team_id`.execute(this.#db)
    return rows
  }

  async countForeignMessages(userId: string): Promise<number> {
    const { rows } = await sql<{ messages: number }>`
      select count(*)::integer as messages from messages m
      where ${isForeign(userId)}`.execute(this.#db)
    return rows[0]?.messages ?? 0
  }

  /** By id, after one. */
  async listForeignMessages(userId: string, afterId: string, limit: number) {
    const { rows } = await sql<{
      id: string
      conversationId: string
      sealedFor: string
      dataKey: Buffer
    }>`
      select m.id, m.conversation_id, ${sql.raw(refColumns('c'))}
      from messages m join conversations c on c.id = m.conversation_id
      where ${isForeign(userId)} and m.id > ${afterId}::uuid
      order by m.id
      limit ${limit}`.execute(this.#db)
    return rows.map(({ id, conversationId, sealedFor, dataKey }): ForeignMessage => {
      return { id, ref: toConversationRef({ id: conversationId, sealedFor, dataKey }) }
    })
  }

  /** Replaces texts. What a process remembers of the conversations is of an earlier version then. */
  async withdraw(withdrawals: readonly Withdrawal[]): Promise<void> {
    const conversationIds = withdrawals.map(({ conversationId }) => conversationId)
    await sql`
      update conversations c set updated_at = c.updated_at
      from (
        select id from conversations
        where id = any(${conversationIds}::uuid[])
        order by id
        for update
      ) as locked
      where c.id = locked.id`.execute(this.#db)
    const ids = withdrawals.map(({ id }) => id)
    const contents = withdrawals.map(({ content }) => content.toString('hex'))
    const tokenCounts = withdrawals.map(({ tokenCount }) => tokenCount)
    await sql`
      update messages m set content = decode(w.content, 'hex'), token_count = w.token_count
      from unnest(${ids}::uuid[], ${contents}::text[], ${tokenCounts}::integer[])
        as w (id, content, token_count)
      where m.id = w.id`.execute(this.#db)
  }

  /** Those at which Claude's answers to the user stopped: their own text as well. */
  async clearStopSequences(userId: string): Promise<void> {
    await sql`
      update messages m set stop_sequence = null
      where m.sender_id = ${userId}::uuid and m.stop_sequence is not null`.execute(this.#db)
  }
}

const IS_GRANTED = sql.raw(isGrantedTo('g', 'm.user_id'))

/** Of the member `m`, who is the user `u`, by the grant `g`. */
const CONTRIBUTES_SINCE = sql.raw(`greatest(g.created_at, case
          when g.user_id is not null then g.accepted_at
          when g.team_id is not null then m.added_at
          else u.created_at
        end)`)

const isForeign = (userId: string) =>
  sql`m.sender_id = ${userId}::uuid and m.user_id <> ${userId}::uuid and m.role = 'user'
    and m.content is not null`
