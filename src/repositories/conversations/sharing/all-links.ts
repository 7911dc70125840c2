import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../../database/schema.ts'
import { isLinkInForce } from '../../access/conversation-access.ts'
import type { LinkAudience } from './links.ts'

/** A link that works, without anything of what it shows. */
export type AnyLink = {
  id: string
  conversationId: string
  ownerId: string
  audience: LinkAudience
  createdAt: Date
  expiresAt: Date
  views: number
}

/** The links of all users, for the operator: figures and ids only. */
export class AllLinksRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Those that work, by id, after one. */
  async list(afterId: string, limit: number): Promise<AnyLink[]> {
    const { rows } = await sql<AnyLink>`
      select l.id, l.conversation_id, c.user_id as owner_id, l.audience, l.created_at, l.expires_at,
        l.views
      from conversation_links l
      join conversations c on c.id = l.conversation_id
      where l.id > ${afterId}::uuid and ${IS_IN_FORCE}
      order by l.id
      limit ${limit}`.execute(this.#db)
    return rows
  }

  /** Ends all that work, or only the public ones. @returns how many. */
  async revoke(isOnlyPublic: boolean): Promise<number> {
    const { rows } = await sql<{ ended: number }>`
      with ended as (
        update conversation_links l set revoked_at = now(), label = null
        where ${IS_IN_FORCE} and (l.audience = 'public' or not ${isOnlyPublic}::boolean)
        returning l.id
      )
      select count(*)::integer as ended from ended`.execute(this.#db)
    return rows[0]?.ended ?? 0
  }
}

const IS_IN_FORCE = sql.raw(isLinkInForce('l'))
