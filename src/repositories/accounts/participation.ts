import { type Kysely, sql } from 'kysely'
import type { Schema, TeamRole } from '../../database/schema.ts'
import { isInTeam, isOwnedBy, isSentBy } from '../access/conversation-access.ts'
import { type ConversationRef, refColumns, toConversationRef } from '../access/conversation-ref.ts'

/** Of a list that is read page after page: after the last id of the page before. */
type Page = { afterId: string | undefined; limit: number }

/** `recipient`: username. It and `team` are null for everybody. */
export type ParticipationShare = {
  id: string
  conversationId: string
  owner: string
  recipient: string | null
  team: string | null
  role: 'viewer' | 'contributor'
  fromPosition: number
  createdAt: Date
  acceptedAt: Date | null
  expiresAt: Date | null
}

/** `label`: sealed. */
export type ParticipationLink = {
  id: string
  ref: ConversationRef
  conversationId: string
  audience: string
  team: string | null
  label: Buffer | null
  throughPosition: number
  views: number
  createdAt: Date
  expiresAt: Date
  revokedAt: Date | null
}

/** What the user wrote in a conversation of another. `content`: sealed. */
export type ElsewhereMessage = {
  id: string
  ref: ConversationRef
  conversationId: string
  content: Buffer
  status: string
  tag: string | null
  createdAt: Date
}

/** `isOwn`: the user's own act. */
export type OwnEvent = {
  chain: string
  seq: string
  at: Date
  action: string
  actorKind: string
  isOwn: boolean
  sessionId: string | null
  addressPrefix: string | null
  targetKind: string | null
  targetId: string | null
  detail: string
}

const BEFORE_ALL = '00000000-0000-0000-0000-000000000000'

/** What there is of a user beside their own conversations, in keyset pages, for their export. */
export class ParticipationRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async listTeams(userId: string, { afterId = BEFORE_ALL, limit }: Page) {
    const { rows } = await sql<{
      id: string
      name: string
      role: TeamRole
      addedAt: Date
      archivedAt: Date | null
    }>`
      select t.id, t.name, m.role, m.added_at, t.archived_at
      from team_members m join teams t on t.id = m.team_id
      where m.user_id = ${userId}::uuid and t.id > ${afterId}::uuid
      order by t.id
      limit ${limit}`.execute(this.#db)
    return rows
  }

  /** That the user made. Expired ones are deleted after a week. */
  async listInvitations(userId: string, { afterId = BEFORE_ALL, limit }: Page) {
    const { rows } = await sql<{
      id: string
      teamId: string | null
      role: string
      onlyFor: string | null
      createdAt: Date
      expiresAt: Date
      usedAt: Date | null
      revokedAt: Date | null
    }>`
      select i.id, i.team_id, coalesce(i.team_role, i.installation_role) as role,
        coalesce(i.username_key, i.email_key) as only_for, i.created_at, i.expires_at, i.used_at,
        i.revoked_at
      from invitations i
      where i.created_by = ${userId}::uuid and i.id > ${afterId}::uuid
      order by i.id
      limit ${limit}`.execute(this.#db)
    return rows
  }

  async listSharesGiven(userId: string, page: Page): Promise<ParticipationShare[]> {
    return this.#shares(
      sql`
      from (values (${userId}::uuid)) as asked (reader)
      join conversations c on ${IS_OWN}
      join conversation_grants g on g.conversation_id = c.id`,
      page,
    )
  }

  /** To the user or to a team of theirs. */
  async listSharesReceived(userId: string, page: Page): Promise<ParticipationShare[]> {
    return this.#shares(
      sql`
      from (values (${userId}::uuid)) as asked (reader)
      join conversation_grants g on g.user_id = asked.reader or g.team_id in (
        select own.team_id from team_members own where own.user_id = asked.reader
      ) and ${IS_TO_OWN_TEAM}
      join conversations c on c.id = g.conversation_id and not ${IS_OWN}`,
      page,
    )
  }

  async #shares(from: ReturnType<typeof sql>, { afterId = BEFORE_ALL, limit }: Page) {
    const { rows } = await sql<ParticipationShare>`
      select g.id, g.conversation_id, owner.username as owner, recipient.username as recipient,
        t.name as team, g.role, g.from_position, g.created_at, g.accepted_at, g.expires_at
      ${from}
      join users owner on owner.id = c.user_id
      left join users recipient on recipient.id = g.user_id
      left join teams t on t.id = g.team_id
      where g.id > ${afterId}::uuid
      order by g.id
      limit ${limit}`.execute(this.#db)
    return rows
  }

  async listLinks(userId: string, { afterId = BEFORE_ALL, limit }: Page) {
    const { rows } = await sql<
      Omit<ParticipationLink, 'ref'> & { sealedFor: string; dataKey: Buffer }
    >`
      select l.id, c.id as conversation_id, ${sql.raw(refColumns('c'))}, l.audience, t.name as team,
        l.label, l.through_position, l.views, l.created_at, l.expires_at, l.revoked_at
      from (values (${userId}::uuid)) as asked (reader)
      join conversations c on ${IS_OWN}
      join conversation_links l on l.conversation_id = c.id
      left join teams t on t.id = l.team_id
      where l.id > ${afterId}::uuid
      order by l.id
      limit ${limit}`.execute(this.#db)
    return rows.map(withRef)
  }

  /** At most so many that they have about 1 MB. */
  async listMessagesElsewhere(userId: string, { afterId = BEFORE_ALL, limit }: Page) {
    const { rows } = await sql<
      Omit<ElsewhereMessage, 'ref'> & { sealedFor: string; dataKey: Buffer }
    >`
      select * from (
        select m.id, c.id as conversation_id, ${sql.raw(refColumns('c'))}, m.content, m.status, m.tag,
          m.created_at, sum(octet_length(m.content)) over (order by m.id)
            - octet_length(m.content) as bytes_before
        from (values (${userId}::uuid)) as asked (reader)
        join messages m on ${IS_SENT} and m.sender_id = asked.reader
        join conversations c on c.id = m.conversation_id and not ${IS_OWN}
        where m.role = 'user' and m.content is not null and m.id > ${afterId}::uuid
        order by m.id
        limit ${limit}
      ) as page
      where bytes_before < ${PAGE_BYTES}
      order by id`.execute(this.#db)
    return rows.map(withRef)
  }

  /** What the user did, and what was done to their account, chain by chain. */
  async listEvents(
    userId: string,
    after: { chain: string; seq: string } | undefined,
    limit: number,
  ): Promise<OwnEvent[]> {
    const { chain, seq } = after ?? { chain: BEFORE_ALL, seq: '0' }
    const { rows } = await sql<OwnEvent>`
      select e.chain, e.seq::text, e.at, e.action, e.actor_kind,
        e.actor_id is not distinct from ${userId}::uuid as is_own,
        case when e.actor_id = ${userId}::uuid then e.session_id end as session_id,
        case when e.actor_id = ${userId}::uuid then e.address_prefix end as address_prefix,
        e.target_kind, e.target_id, e.detail
      from audit_events e
      where (e.actor_id = ${userId}::uuid or e.target_kind = 'user' and e.target_id = ${userId}::text)
        and (e.chain, e.seq) > (${chain}::uuid, ${seq}::bigint)
      order by e.chain, e.seq
      limit ${limit}`.execute(this.#db)
    return rows
  }
}

const PAGE_BYTES = 1024 * 1024
const IS_OWN = sql.raw(`(${isOwnedBy('c', 'asked.reader')})`)
const IS_SENT = sql.raw(isSentBy('m', 'asked.reader'))
const IS_TO_OWN_TEAM = sql.raw(isInTeam('g.team_id', 'asked.reader'))

type WithKey = { conversationId: string; sealedFor: string; dataKey: Buffer }

const withRef = <Row extends WithKey>({ sealedFor, dataKey, ...row }: Row) => ({
  ...row,
  ref: toConversationRef({ id: row.conversationId, sealedFor, dataKey }),
})
