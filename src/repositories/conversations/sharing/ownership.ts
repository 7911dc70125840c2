import { type Kysely, sql } from 'kysely'
import { LIFT_STATEMENT_LIMIT } from '../../../database/postgresql/dialect.ts'
import type { Schema } from '../../../database/schema.ts'
import { isGrantedTo, isInTeam, isOwnedBy } from '../../access/conversation-access.ts'
import { isReached, type Reach } from '../../access/reach.ts'

export type Inheritance = { id: string; heirId: string }

/** What the owner of a conversation gave to a person, locked until the transaction ends. */
export type LockedClaim = {
  conversationId: string
  /** The person. */
  heirId: string
  username: string
  /** Whether they may send messages now: they have accepted that, and are not suspended. */
  isContributor: boolean
  /** The team that the conversation belongs to; null: none. */
  teamId: string | null
  team: string | null
  /** True without a team. */
  isInTeam: boolean
  runningMessageId: string | null
}

/** Who owns a conversation, and how it passes to another user. */
export class OwnershipRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Locks the conversation, then the grant: the order of the turns.
   *
   * @param grantId of a grant to one person, for a conversation that the session's user owns.
   * @returns undefined when the session may give none with this id away.
   */
  async lockClaim(grantId: string, reach: Reach): Promise<LockedClaim | undefined> {
    await sql`
      select c.id ${ownGrant(grantId, reach)} for update of c`.execute(this.#db)
    const { rows } = await sql<LockedClaim>`
      select c.id as conversation_id, heir.id as heir_id, heir.username,
        g.role = 'contributor' and heir.suspended_at is null and ${IS_GRANTED} as is_contributor,
        c.team_id, t.name as team, c.team_id is null or ${IS_IN_TEAM} as is_in_team,
        c.running_message_id
      ${ownGrant(grantId, reach)}
      for update of g`.execute(this.#db)
    return rows[0]
  }

  /**
   * Keeps for the owner, who is about to become a recipient, that they had archived it. Lock the claim
   * before.
   */
  async keepMark(conversationId: string, ownerId: string): Promise<void> {
    await sql`
      insert into conversation_marks (user_id, conversation_id, archived_at)
      select c.user_id, c.id, c.archived_at
      from (values (${ownerId}::uuid)) as owner (id)
      join conversations c on c.id = ${conversationId}::uuid and ${sql.raw(isOwnedBy('c', 'owner.id'))}
      where c.archived_at is not null
      on conflict do nothing`.execute(this.#db)
  }

  /**
   * Makes the heirs the owners. Messages of the former owner keep their sender; the texts stay sealed as
   * they are. Shares go on; links that need no account end with the user who answered for them. Lock the
   * claims before, when no answer is running.
   */
  async handOver(ownerId: string, inheritances: readonly Inheritance[]): Promise<void> {
    const heirs = heirsOf(inheritances)
    await sql.raw(LIFT_STATEMENT_LIMIT).execute(this.#db)
    await this.#moveCounts(ownerId, inheritances)
    await sql`
      update conversations c set user_id = h.heir_id, sealed_for = coalesce(c.sealed_for, c.user_id),
        session_id = null, import_source = null, import_ref = null,
        archived_at = (
          select k.archived_at from conversation_marks k
          where k.user_id = h.heir_id and k.conversation_id = c.id
        )
      from ${heirs} where c.id = h.id and c.user_id = ${ownerId}::uuid`.execute(this.#db)
    await sql`
      update messages m set user_id = h.heir_id,
        sender_id = nullif(coalesce(m.sender_id, m.user_id), h.heir_id)
      from ${heirs} where m.conversation_id = h.id`.execute(this.#db)
    await sql`
      update forgotten_turns f set user_id = h.heir_id
      from ${heirs} where f.conversation_id = h.id`.execute(this.#db)
    await sql`
      delete from conversation_grants g using ${heirs}
      where g.conversation_id = h.id and g.user_id = h.heir_id`.execute(this.#db)
    await sql`
      delete from conversation_marks k using ${heirs}
      where k.conversation_id = h.id and k.user_id = h.heir_id`.execute(this.#db)
    await sql`
      delete from conversation_links l using ${heirs}
      where l.conversation_id = h.id and l.audience = 'public'`.execute(this.#db)
  }

  /** What the triggers keep, which do not follow a change of the owner. */
  async #moveCounts(ownerId: string, inheritances: readonly Inheritance[]): Promise<void> {
    const heirs = heirsOf(inheritances)
    const userIds = [ownerId, ...inheritances.map(({ heirId }) => heirId)]
    await sql`
      insert into storage as s (user_id, bytes)
      select changed.user_id, sum(changed.bytes)
      from ${heirs} join conversations c on c.id = h.id
      cross join lateral (
        select kept_bytes(c.title, c.system_prompt) + (
          select coalesce(sum(kept_bytes(m.role, m.status, m.content, m.stop_sequence)), 0)
          from messages m where m.conversation_id = c.id
        ) as bytes
      ) as kept
      cross join lateral (
        values (h.heir_id, kept.bytes), (c.user_id, -kept.bytes)
      ) as changed (user_id, bytes)
      group by changed.user_id
      order by changed.user_id
      on conflict (user_id) do update set bytes = s.bytes + excluded.bytes`.execute(this.#db)
    await sql`
      select u.id from users u where u.id = any(${userIds}::uuid[])
      order by u.id
      for no key update`.execute(this.#db)
    await sql`
      update users u set conversation_count = u.conversation_count + i.conversations
      from (
        select changed.user_id, sum(changed.conversations) as conversations
        from ${heirs} join conversations c on c.id = h.id and c.is_listed
        cross join lateral (values (h.heir_id, 1), (c.user_id, -1)) as changed (user_id, conversations)
        group by changed.user_id
      ) as i
      where u.id = i.user_id`.execute(this.#db)
  }
}

const IS_GRANTED = sql.raw(isGrantedTo('g', 'g.user_id'))
const IS_IN_TEAM = sql.raw(isInTeam('c.team_id', 'g.user_id'))

/** A `from` and a `where`: the grant `g` to the person `heir` for the conversation `c` of the session's user. */
const ownGrant = (grantId: string, { userId, sessionId, readsAll }: Reach) => sql`
  from sessions s
  join conversation_grants g on g.id = ${grantId}::uuid
  join conversations c on c.id = g.conversation_id and ${sql.raw(isOwnedBy('c', 's.user_id'))}
    and ${sql.raw(isReached('c', 's', String(readsAll)))}
  join users heir on heir.id = g.user_id
  left join teams t on t.id = c.team_id
  where s.id = ${sessionId}::uuid and s.user_id = ${userId}::uuid`

/** For `from` or `using`: `h`, with the `id` of a conversation and its `heir_id`. */
const heirsOf = (inheritances: readonly Inheritance[]) => {
  const ids = inheritances.map(({ id }) => id)
  const heirIds = inheritances.map(({ heirId }) => heirId)
  return sql`unnest(${ids}::uuid[], ${heirIds}::uuid[]) as h (id, heir_id)`
}
