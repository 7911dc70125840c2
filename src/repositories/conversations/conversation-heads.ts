import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { accessTo, isOwnedBy } from '../access/conversation-access.ts'
import { type ListedRow, type ShownRow, shownColumns, toListed } from './conversation-lists.ts'
import { isHiddenFrom } from './shared-conversations.ts'

/** `systemPrompt` is sealed, as the title is. */
export type HeadRow = ListedRow & {
  /** Null also for a viewer, who may not read it. */
  systemPrompt: Buffer | null
  runningMessageId: string | null
  /** Whether a reader who is not its owner has taken it out of all their lists. */
  isHidden: boolean
}

type Row = ShownRow & Pick<HeadRow, 'systemPrompt' | 'runningMessageId' | 'isHidden'>

/** What there is of a conversation besides its messages. */
export class ConversationHeadRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Undefined also when the user has no access to it. */
  async find(id: string, userId: string): Promise<HeadRow | undefined> {
    const { rows } = await sql<Row>`
      select ${COLUMNS}, c.running_message_id,
        case when access.role <> 'viewer' then c.system_prompt end as system_prompt,
        access.role <> 'owner' and ${sql.raw(isHiddenFrom('c', 'asked.reader'))} as is_hidden
      from (values (${id}::uuid, ${userId}::uuid)) as asked (id, reader)
      join conversations c on c.id = asked.id
      join ${sql.raw(accessTo('c', 'asked.reader'))} as access on true`.execute(this.#db)
    const [row] = rows
    if (row === undefined) return undefined
    const { systemPrompt, runningMessageId, isHidden, ...shown } = row
    return { ...toListed(shown), systemPrompt, runningMessageId, isHidden }
  }

  /** How many shares and links end with it, and how many branches stay. */
  async countDependents(id: string, ownerId: string) {
    const { rows } = await sql<{ shares: number; links: number; branches: number }>`
      select
        (select count(*)::integer from conversation_grants g where g.conversation_id = c.id)
          as shares,
        (
          select count(*)::integer from conversation_links l
          where l.conversation_id = c.id and l.revoked_at is null and l.expires_at > now()
        ) as links,
        (select count(*)::integer from conversations b where b.branched_from = c.id) as branches
      from (values (${ownerId}::uuid)) as asked (owner)
      join conversations c on c.id = ${id}::uuid and ${IS_OWN}`.execute(this.#db)
    return rows[0] ?? { shares: 0, links: 0, branches: 0 }
  }
}

const IS_OWN = sql.raw(isOwnedBy('c', 'asked.owner'))
const COLUMNS = sql.raw(shownColumns('asked.reader'))
