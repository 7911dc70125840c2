import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../../database/schema.ts'
import {
  accessTo,
  type ConversationRole,
  isGrantedTo,
  isInTeam,
  isOwnedBy,
  isSentBy,
} from '../../access/conversation-access.ts'
import {
  type ConversationRef,
  refColumns,
  toConversationRef,
} from '../../access/conversation-ref.ts'
import { isReached, type Reach } from '../../access/reach.ts'
import { isHiddenFrom } from '../shared-conversations.ts'

/** Who gets access: one person, a team, or everybody who has an account. */
export type GrantRole = Exclude<ConversationRole, 'owner'>

export type NewGrant = {
  id: string
  conversationId: string
  /** One of the two, or neither: everybody. */
  userId: string | null
  teamId: string | null
  role: GrantRole
  grantedBy: string
  isAccepted: boolean
  expiresAt: Date | null
  fromPosition: number
}

/** `title` is sealed; null while the reader has not accepted it. */
export type ListedGrant = {
  id: string
  conversationId: string
  ref: ConversationRef
  title: Buffer | null
  owner: string
  /** Username; null like `team`: everybody. */
  recipient: string | null
  /** The name of the team that it is to. */
  team: string | null
  role: GrantRole
  createdAt: Date
  acceptedAt: Date | null
  expiresAt: Date | null
  isExpired: boolean
  fromPosition: number
  /** Whether the reader, who is not the owner, hid it from their lists. */
  isHidden: boolean
}

/** What a grant gives. */
export type GrantTerms = Pick<ListedGrant, 'role' | 'expiresAt' | 'fromPosition'>

/** `teamIds`: of the recipient, and of the team that the conversation belongs to. */
export type EndedGrant = { conversationId: string; teamIds: (string | null)[] }

type EndedRow = { conversationId: string; owningTeamId: string | null; teamId: string | null }

type GrantRow = Omit<ListedGrant, 'ref'> & { sealedFor: string; dataKey: Buffer }

/** Rows of one list; a conversation has at most 200. */
const MOST_LISTED = 1000

export class GrantRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Locks the conversation until the transaction ends, so that its grants are counted one after the
   * other. Undefined: the session reaches none with this id.
   */
  async lockConversation(id: string, reach: Reach) {
    const { rows } = await sql<{
      role: ConversationRole
      ownerId: string
      /** The team that it belongs to. */
      teamId: string | null
      /** Last position of the turns that have ended. */
      endedThrough: number
      id: string
      sealedFor: string
      dataKey: Buffer
    }>`
      select c.id, ${sql.raw(refColumns('c'))}, c.user_id as owner_id, c.team_id, access.role,
        c.message_count - case when c.running_message_id is null then 0 else 2 end as ended_through
      from sessions s
      join conversations c on c.id = ${id}::uuid and ${reached(reach)}
      join ${sql.raw(accessTo('c', 's.user_id'))} as access on true
      where s.id = ${reach.sessionId}::uuid and s.user_id = ${reach.userId}::uuid
      for no key update of c`.execute(this.#db)
    const [row] = rows
    return row && { ...row, ref: toConversationRef(row) }
  }

  /** Replaces the recipient's grant, if there is one; what was accepted stays accepted. */
  async put(grant: NewGrant): Promise<{ id: string; isAccepted: boolean }> {
    const { rows } = await sql<{ id: string; isAccepted: boolean }>`
      insert into conversation_grants as g (id, conversation_id, user_id, team_id, role, granted_by,
        accepted_at, expires_at, from_position)
      select ${grant.id}::uuid, c.id, ${grant.userId}::uuid, ${grant.teamId}::uuid, ${grant.role},
        granter.id,
        case when ${grant.isAccepted}::boolean then now() end, ${grant.expiresAt}::timestamptz,
        ${grant.fromPosition}
      from (values (${grant.grantedBy}::uuid)) as granter (id)
      join conversations c on c.id = ${grant.conversationId}::uuid and ${ownedBy('granter.id')}
      on conflict (conversation_id,
        coalesce(user_id, team_id, '00000000-0000-0000-0000-000000000000'))
      do update set role = excluded.role, granted_by = excluded.granted_by,
        accepted_at = coalesce(g.accepted_at, excluded.accepted_at),
        expires_at = excluded.expires_at, from_position = excluded.from_position
      returning g.id, g.accepted_at is not null as is_accepted`.execute(this.#db)
    const [row] = rows
    if (row === undefined) throw new Error('a conversation was shared by another than its owner')
    return row
  }

  /** How many grants a conversation of the user's has. */
  async countOf(conversationId: string, ownerId: string): Promise<number> {
    const { rows } = await sql<{ grants: number }>`
      select count(*)::integer as grants
      from (values (${ownerId}::uuid)) as granter (id)
      join conversations c on c.id = ${conversationId}::uuid and ${ownedBy('granter.id')}
      join conversation_grants g on g.conversation_id = c.id`.execute(this.#db)
    return rows[0]?.grants ?? 0
  }

  /** What a recipient was given for a conversation of the user's, in force or not. */
  async findTerms(
    conversationId: string,
    ownerId: string,
    to: { userId: string | null; teamId: string | null },
  ): Promise<GrantTerms | undefined> {
    const { rows } = await sql<GrantTerms>`
      select g.role, g.expires_at, g.from_position
      from (values (${ownerId}::uuid)) as granter (id)
      join conversations c on c.id = ${conversationId}::uuid and ${ownedBy('granter.id')}
      join conversation_grants g on g.conversation_id = c.id
        and g.user_id is not distinct from ${to.userId}::uuid
        and g.team_id is not distinct from ${to.teamId}::uuid`.execute(this.#db)
    return rows[0]
  }

  /** How many conversations the user shares with everybody. */
  async countWithEverybody(ownerId: string): Promise<number> {
    const { rows } = await sql<{ grants: number }>`
      select count(*)::integer as grants
      from (values (${ownerId}::uuid)) as granter (id)
      join conversations c on ${ownedBy('granter.id')}
      join conversation_grants g
        on g.conversation_id = c.id and g.user_id is null and g.team_id is null`.execute(this.#db)
    return rows[0]?.grants ?? 0
  }

  /** Those that the user gave for their own conversations, newest first. */
  async listGiven(reach: Reach, conversationId: string | null): Promise<ListedGrant[]> {
    return this.#list(sql`
      where s.id = ${reach.sessionId}::uuid and s.user_id = ${reach.userId}::uuid
        and ${ownedBy('s.user_id')} and ${reached(reach)}
        and (${conversationId}::uuid is null or c.id = ${conversationId}::uuid)`)
  }

  /** Those that were given to the user or a team of theirs, newest first; pending ones without a title. */
  async listReceived(reach: Reach, conversationId: string | null): Promise<ListedGrant[]> {
    return this.#list(sql`
      where s.id = ${reach.sessionId}::uuid and s.user_id = ${reach.userId}::uuid
        and (g.user_id = s.user_id or ${IS_TO_OWN_TEAM} or (${IS_TO_EVERYBODY} and ${IS_HIDDEN})) and not ${ownedBy('s.user_id')}
        and ${reached(reach)} and (g.expires_at is null or g.expires_at > now())
        and (${conversationId}::uuid is null or c.id = ${conversationId}::uuid)`)
  }

  async #list(where: ReturnType<typeof sql>): Promise<ListedGrant[]> {
    const { rows } = await sql<GrantRow>`
      select g.id, c.id as conversation_id, ${sql.raw(refColumns('c'))},
        case when exists (
          select from ${sql.raw(accessTo('c', 's.user_id'))} as access
        ) then c.title end as title,
        owner.username as owner, recipient.username as recipient, team.name as team, g.role,
        g.created_at,
        case when g.user_id is null then g.created_at else g.accepted_at end as accepted_at,
        g.expires_at, coalesce(g.expires_at <= now(), false) as is_expired, g.from_position,
        ${IS_HIDDEN} as is_hidden
      from sessions s
      cross join conversation_grants g
      join conversations c on c.id = g.conversation_id
      join users owner on owner.id = c.user_id
      left join users recipient on recipient.id = g.user_id
      left join teams team on team.id = g.team_id
      ${where}
      order by g.created_at desc, g.id desc
      limit ${MOST_LISTED}`.execute(this.#db)
    return rows.map(({ sealedFor, dataKey, ...row }) => ({
      ...row,
      ref: toConversationRef({ id: row.conversationId, sealedFor, dataKey }),
    }))
  }

  /** @returns the conversation; undefined when there is no such offer to the user. */
  async accept(id: string, userId: string): Promise<string | undefined> {
    const { rows } = await sql<{ conversationId: string }>`
      update conversation_grants set accepted_at = coalesce(accepted_at, now())
      where id = ${id}::uuid and user_id = ${userId}::uuid
        and (expires_at is null or expires_at > now())
      returning conversation_id`.execute(this.#db)
    return rows[0]?.conversationId
  }

  /**
   * Ends one: as the owner of the conversation, or as its recipient.
   *
   * @returns the conversation, and the teams concerned; undefined when the session may end none with
   *   this id.
   */
  async end(id: string, reach: Reach): Promise<EndedGrant | undefined> {
    const { rows } = await sql<EndedRow>`
      delete from conversation_grants g
      using sessions s, conversations c
      where g.id = ${id}::uuid and c.id = g.conversation_id
        and s.id = ${reach.sessionId}::uuid and s.user_id = ${reach.userId}::uuid
        and ${reached(reach)} and (${ownedBy('s.user_id')} or g.user_id = s.user_id)
      returning c.id as conversation_id, c.team_id as owning_team_id, g.team_id`.execute(this.#db)
    return rows[0] && toEnded(rows[0])
  }

  /**
   * The conversation that the session reads by a grant to more than its user, who cannot end it: to
   * everybody, or to a team of theirs.
   */
  async findShared(id: string, reach: Reach): Promise<string | undefined> {
    const { rows } = await sql<{ conversationId: string }>`
      select c.id as conversation_id
      from sessions s
      join conversation_grants g on g.id = ${id}::uuid and g.user_id is null
        and ${sql.raw(isGrantedTo('g', 's.user_id'))}
      join conversations c on c.id = g.conversation_id and ${reached(reach)}
      where s.id = ${reach.sessionId}::uuid and s.user_id = ${reach.userId}::uuid`.execute(this.#db)
    return rows[0]?.conversationId
  }

  /** Ends all of a conversation of the owner's. */
  async endAll(conversationId: string, ownerId: string): Promise<EndedGrant[]> {
    const { rows } = await sql<EndedRow>`
      delete from conversation_grants g
      using (values (${ownerId}::uuid)) as granter (id), conversations c
      where c.id = ${conversationId}::uuid and g.conversation_id = c.id
        and ${ownedBy('granter.id')}
      returning c.id as conversation_id, c.team_id as owning_team_id, g.team_id`.execute(this.#db)
    return rows.map(toEnded)
  }

  /**
   * Flags the running answers that have lost their reader since a member left the team, or since it
   * was archived: those of former contributors, and those that it pays for.
   *
   * @param senderId the member; null: all of them.
   * @returns their ids.
   */
  async cancelOfTeam(teamId: string, senderId: string | null): Promise<string[]> {
    const { rows } = await sql<{ id: string }>`
      update messages m set cancel_requested_at = now()
      from conversations c
      cross join (values (${teamId}::uuid, ${senderId}::uuid)) as left_team (id, sender_id)
      where m.status = 'running' and m.role = 'assistant'
        and c.id = m.conversation_id and c.running_message_id = m.id
        and (left_team.sender_id is null or ${sql.raw(isSentBy('m', 'left_team.sender_id'))})
        and (m.payer = 'team' and m.paying_team_id = left_team.id or m.sender_id is not null
          and exists (
            select from conversation_grants g
            where g.conversation_id = c.id and g.team_id = left_team.id
          ) and not exists (
            select from ${sql.raw(accessTo('c', 'm.sender_id'))} as access
            where access.role <> 'viewer'
          ))
      returning m.id`.execute(this.#db)
    return rows.map(({ id }) => id)
  }

  /**
   * Flags the running answer of the conversation for the process that generates it, if its sender
   * may no longer send messages there.
   *
   * @returns its id.
   */
  async cancelOfRemoved(conversationId: string): Promise<string | undefined> {
    const { rows } = await sql<{ id: string }>`
      update messages m set cancel_requested_at = now()
      from conversations c
      where c.id = ${conversationId}::uuid and m.id = c.running_message_id
        and m.status = 'running' and m.sender_id is not null
        and not exists (
          select from ${sql.raw(accessTo('c', 'm.sender_id'))} as access
          where access.role <> 'viewer'
        )
      returning m.id`.execute(this.#db)
    return rows[0]?.id
  }
}

const IS_TO_OWN_TEAM = sql.raw(`(g.team_id is not null and ${isInTeam('g.team_id', 's.user_id')})`)
/** Those are in no list of grants, but have to be found again. */
const IS_TO_EVERYBODY = sql.raw('g.user_id is null and g.team_id is null')
const IS_HIDDEN = sql.raw(isHiddenFrom('c', 's.user_id'))
const ownedBy = (user: string) => sql.raw(isOwnedBy('c', user))
/** Whether the session `s` reaches the conversation `c`. */
const reached = ({ readsAll }: Reach) => sql.raw(isReached('c', 's', String(readsAll)))

const toEnded = ({ conversationId, owningTeamId, teamId }: EndedRow): EndedGrant => ({
  conversationId,
  teamIds: [teamId, owningTeamId],
})
