import { type Kysely, sql } from 'kysely'
import { LIFT_STATEMENT_LIMIT } from '../../../database/postgresql/dialect.ts'
import type { Schema } from '../../../database/schema.ts'
import { isInTeam, isLinkInForce } from '../../access/conversation-access.ts'

/** A conversation that belongs to a team, without anything that is sealed. */
export type TeamConversationRow = {
  id: string
  /** Username. */
  owner: string
  messages: number
  shares: number
  links: number
  createdAt: Date
  updatedAt: Date
}

/** One that is locked until the transaction ends. */
export type LockedTeamConversation = {
  id: string
  ownerId: string
  messages: number
  runningMessageId: string | null
}

/** Which conversations, and which member of the team asks. */
type Asked = { teamId: string; memberId: string }

/** What those who manage a team may know and do about its conversations, which is not reading them. */
export class TeamConversationRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** The newest first, before one. */
  async list(asked: Asked, beforeId: string | null, limit: number): Promise<TeamConversationRow[]> {
    const { rows } = await sql<TeamConversationRow>`
      select c.id, owner.username as owner, c.message_count - c.messages_deleted as messages,
        (select count(*)::integer from conversation_grants g where g.conversation_id = c.id)
          as shares,
        (
          select count(*)::integer from conversation_links l
          where l.conversation_id = c.id and ${IS_IN_FORCE}
        ) as links,
        c.created_at, c.updated_at
      from ${ofTeam(asked)}
      join users owner on owner.id = c.user_id
      where c.is_listed and (${beforeId}::uuid is null or c.id < ${beforeId}::uuid)
      order by c.id desc
      limit ${limit}`.execute(this.#db)
    return rows
  }

  /** Undefined when it does not belong to the team, or the user is not in that. */
  async lock(asked: Asked, id: string): Promise<LockedTeamConversation | undefined> {
    const { rows } = await sql<LockedTeamConversation>`
      select c.id, c.user_id as owner_id, c.running_message_id,
        c.message_count - c.messages_deleted as messages
      from ${ofTeam(asked)}
      where c.id = ${id}::uuid
      for update of c`.execute(this.#db)
    return rows[0]
  }

  /** Ends all shares and links. Lock it before. @returns how many. */
  async endSharing(asked: Asked, { id }: LockedTeamConversation) {
    const grants = await sql`
      delete from conversation_grants g using ${ofTeam(asked)}
      where c.id = ${id}::uuid and g.conversation_id = c.id
      returning g.id`.execute(this.#db)
    const links = await sql`
      update conversation_links l set revoked_at = now(), label = null from ${ofTeam(asked)}
      where c.id = ${id}::uuid and l.conversation_id = c.id and ${IS_IN_FORCE}
      returning l.id`.execute(this.#db)
    return { shares: grants.rows.length, links: links.rows.length }
  }

  /** With its data key, messages, grants and links. Lock it before. */
  async delete(asked: Asked, { id }: LockedTeamConversation): Promise<void> {
    await sql.raw(LIFT_STATEMENT_LIMIT).execute(this.#db)
    await sql`
      delete from conversations gone using ${ofTeam(asked)}
      where gone.id = c.id and c.id = ${id}::uuid`.execute(this.#db)
  }
}

const IS_IN_FORCE = sql.raw(isLinkInForce('l'))
const IS_MEMBER = sql.raw(isInTeam('c.team_id', 'asked.member_id'))

/** For a `from` or `using`: the conversations `c` of the team, for one who is in it. */
const ofTeam = ({ teamId, memberId }: Asked) => sql`
  (values (${teamId}::uuid, ${memberId}::uuid)) as asked (team_id, member_id)
  join conversations c on c.team_id = asked.team_id and ${IS_MEMBER}`
