import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { isOwnedBy } from '../access/conversation-access.ts'
import { violatedConstraint } from '../constraints.ts'

/** A conversation of another service, or of a gateway. */
export type ImportMark = {
  source: string
  /** HMAC of its id in the source. */
  ref: Buffer
  /** The gateway's own id of it, where it is one of a gateway; null for other sources. */
  conversationId: string | null
}

/** `isContinued`: it has messages that came after the import. */
export type ImportedBefore = {
  id: string
  isOriginal: boolean
  isContinued: boolean
  messages: number
}

export class ImportRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** What the user has of it: imported before, or the original that was exported. */
  async find(
    userId: string,
    { source, ref, conversationId }: ImportMark,
  ): Promise<ImportedBefore | undefined> {
    const { rows } = await sql<ImportedBefore>`
      select c.id, c.import_ref is distinct from ${ref} as is_original,
        c.message_count - c.messages_deleted as messages,
        exists (
          select from messages m where m.conversation_id = c.id and not m.imported
        ) as is_continued
      from (values (${userId}::uuid)) as asked (owner)
      join conversations c on ${IS_OWN} and (
        c.import_source = ${source} and c.import_ref = ${ref}
        or c.id = ${conversationId}::uuid and c.is_listed
      )
      order by is_original
      limit 1`.execute(this.#db)
    return rows[0]
  }

  /** The conversation stays as one that was not imported, so that it can be imported again. */
  async forget(id: string, userId: string): Promise<void> {
    await sql`
      update conversations c set import_source = null, import_ref = null
      from (values (${userId}::uuid)) as asked (owner)
      where c.id = ${id}::uuid and ${IS_OWN}`.execute(this.#db)
  }
}

const IS_OWN = sql.raw(isOwnedBy('c', 'asked.owner'))

/** Whether the database refused a second conversation of one import mark. */
export const isImportedAlready = (error: unknown): boolean =>
  violatedConstraint(error) === 'conversations_imported'
