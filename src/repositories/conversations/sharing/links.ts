import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../../database/schema.ts'
import { isLinkInForce, isOwnedBy } from '../../access/conversation-access.ts'
import {
  type ConversationRef,
  refColumns,
  toConversationRef,
} from '../../access/conversation-ref.ts'
import { isReached, type Reach } from '../../access/reach.ts'

/** Who may open a link: a team, everybody who has an account, or everybody who has the link. */
export type LinkAudience = 'team' | 'everybody' | 'public'

export type NewLink = {
  id: string
  tokenHash: Buffer
  conversationId: string
  audience: LinkAudience
  teamId: string | null
  throughPosition: number
  /** Sealed. */
  label: Buffer | null
  createdBy: string
  days: number
}

/** `title` and `label` are sealed. */
export type ListedLink = {
  id: string
  conversationId: string
  ref: ConversationRef
  title: Buffer
  label: Buffer | null
  audience: LinkAudience
  /** Name of the team that it is for. */
  team: string | null
  /** The last message that it shows. */
  throughPosition: number
  /** Whether the conversation has messages that it does not show. */
  isBehind: boolean
  createdAt: Date
  expiresAt: Date
  isExpired: boolean
  views: number
  /** ISO 8601 day, UTC. */
  lastViewedOn: string | null
}

/** `teamIds`: whom it was for, and the team that the conversation belongs to. */
export type EndedLink = { teamIds: (string | null)[] }

/** A link of the user's own, locked until the transaction ends. */
export type LockedLink = { id: string; conversationId: string; audience: LinkAudience }

/** One link, or those of one conversation; neither: all. */
type Which = { id?: string | undefined; conversationId?: string | undefined }

type LinkRow = Omit<ListedLink, 'ref'> & { sealedFor: string; dataKey: Buffer }

/** Rows of one list; a conversation has at most 50. */
const MOST_LISTED = 1000

/** The links that users made to their own conversations. Ended ones are kept until the next is made. */
export class LinkRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Forgets the conversation's ended links. @returns how many work. Lock the conversation before. */
  async clearEnded(conversationId: string, ownerId: string): Promise<number> {
    const { rows } = await sql<{ working: number }>`
      with own as (
        select l.id, ${IS_IN_FORCE} as works
        from (values (${ownerId}::uuid)) as asked (owner)
        join conversations c on c.id = ${conversationId}::uuid and ${ownedBy('asked.owner')}
        join conversation_links l on l.conversation_id = c.id
      ),
      forgotten as (
        delete from conversation_links l using own
        where l.id = own.id and not own.works and not ${IS_IN_FORCE}
      )
      select count(*)::integer as working from own where works`.execute(this.#db)
    return rows[0]?.working ?? 0
  }

  /** @returns when it ends. */
  async insert(link: NewLink): Promise<Date> {
    const { rows } = await sql<{ expiresAt: Date }>`
      insert into conversation_links (id, token_hash, conversation_id, audience, team_id,
        through_position, label, created_by, expires_at)
      select ${link.id}::uuid, ${link.tokenHash}, c.id, ${link.audience}, ${link.teamId}::uuid,
        ${link.throughPosition}::integer, ${link.label}::bytea, maker.id,
        now() + make_interval(days => ${link.days}::integer)
      from (values (${link.createdBy}::uuid)) as maker (id)
      join conversations c on c.id = ${link.conversationId}::uuid and ${ownedBy('maker.id')}
      returning expires_at`.execute(this.#db)
    const [row] = rows
    if (row === undefined) throw new Error('a link was made by another than the owner')
    return row.expiresAt
  }

  /**
   * Those to the user's own conversations, newest first, without the revoked ones: one, or those of
   * a conversation, or all.
   */
  async list(reach: Reach, which: Which = {}): Promise<ListedLink[]> {
    const { rows } = await sql<LinkRow>`
      select l.id, c.id as conversation_id, ${sql.raw(refColumns('c'))}, c.title, l.label,
        l.audience, (select t.name from teams t where t.id = l.team_id) as team,
        l.through_position, l.through_position < c.message_count as is_behind,
        l.created_at, l.expires_at, l.expires_at <= now() as is_expired, l.views,
        l.last_viewed_on::text as last_viewed_on
      from ${ownLinks(reach)}
      where l.revoked_at is null and ${isMeant(which)}
      order by l.created_at desc, l.id desc
      limit ${MOST_LISTED}`.execute(this.#db)
    return rows.map(({ sealedFor, dataKey, ...row }) => ({
      ...row,
      ref: toConversationRef({ id: row.conversationId, sealedFor, dataKey }),
    }))
  }

  /** A link that works; undefined when the session may change none with this id. */
  async lock(id: string, reach: Reach): Promise<LockedLink | undefined> {
    const { rows } = await sql<LockedLink>`
      select l.id, c.id as conversation_id, l.audience
      from ${ownLinks(reach)}
      where l.id = ${id}::uuid and ${IS_IN_FORCE}
      for update of l`.execute(this.#db)
    return rows[0]
  }

  /** Shows more of the conversation; never less, since its text is out. Lock it before. */
  async moveOn({ id, conversationId }: LockedLink, ownerId: string, through: number) {
    await sql`
      update conversation_links l set through_position = greatest(through_position, ${through})
      from (values (${ownerId}::uuid)) as asked (owner), conversations c
      where l.id = ${id}::uuid and c.id = l.conversation_id and c.id = ${conversationId}::uuid
        and ${ownedBy('asked.owner')}`.execute(this.#db)
  }

  /** Ends one, or those of a conversation, or all that the user has. */
  async revoke(reach: Reach, which: Which): Promise<EndedLink[]> {
    const { rows } = await sql<{ teamId: string | null; owningTeamId: string | null }>`
      update conversation_links ending set revoked_at = now(), label = null
      from (
        select l.id, c.team_id as owning_team_id from ${ownLinks(reach)} where ${isMeant(which)}
      ) as own
      where ending.id = own.id and ending.revoked_at is null
      returning ending.team_id, own.owning_team_id`.execute(this.#db)
    return rows.map(({ teamId, owningTeamId }) => ({ teamIds: [teamId, owningTeamId] }))
  }
}

const IS_IN_FORCE = sql.raw(isLinkInForce('l'))
const ownedBy = (user: string) => sql.raw(isOwnedBy('c', user))

const isMeant = ({ id, conversationId }: Which) => sql`
  (${id ?? null}::uuid is null or l.id = ${id ?? null}::uuid)
  and (${conversationId ?? null}::uuid is null or c.id = ${conversationId ?? null}::uuid)`

/** For a `from`: the links `l` to conversations `c` that the user of the session `s` owns. */
const ownLinks = ({ userId, sessionId, readsAll }: Reach) => sql`
  sessions s
  join conversations c
    on ${ownedBy('s.user_id')} and ${sql.raw(isReached('c', 's', String(readsAll)))}
    and s.id = ${sessionId}::uuid and s.user_id = ${userId}::uuid
  join conversation_links l on l.conversation_id = c.id`
