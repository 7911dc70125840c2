import { type Kysely, sql } from 'kysely'
import { LIFT_STATEMENT_LIMIT } from '../../database/postgresql/dialect.ts'
import type { Schema } from '../../database/schema.ts'
import {
  accessTo,
  type ConversationRole,
  isOwnedBy,
  payingTeam,
} from '../access/conversation-access.ts'
import { type ConversationRef, refColumns, toConversationRef } from '../access/conversation-ref.ts'
import { isReached, type Reach } from '../access/reach.ts'

/** A conversation that is locked until the transaction ends. */
export type LockedConversation = {
  ref: ConversationRef
  role: ConversationRole
  ownerId: string
  runningMessageId: string | null
  /** The team that it belongs to. */
  teamId: string | null
  payingTeamId: string | null
  isTeamOnly: boolean
  /** Of the messages that are kept. */
  messageCount: number
}

/** The new values; undefined: unchanged. Texts are sealed. */
export type ConversationChange = {
  title?: Buffer | undefined
  systemPrompt?: Buffer | null | undefined
  isArchived?: boolean | undefined
  /** Null: each sender pays. */
  payingTeamId?: string | null | undefined
  isTeamOnly?: boolean | undefined
  /** The team that it belongs to; null: none. */
  teamId?: string | null | undefined
}

/** What a user notes about one of another; undefined: unchanged. */
export type Marks = { isArchived?: boolean | undefined; isHidden?: boolean | undefined }

/** Changes and deletes single conversations. Call all of it in a transaction. */
export class ConversationChangeRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Locks it, in any role of the user. The triggers of what is changed then lock its owner's
   * storage, in the order of the turns.
   *
   * @returns undefined when the session does not reach it, or its user has no access.
   */
  async lock(id: string, reach: Reach): Promise<LockedConversation | undefined> {
    const { rows } = await sql<LockedRow>`
      select c.id, ${sql.raw(refColumns('c'))}, access.role, c.user_id as owner_id,
        c.running_message_id, c.team_id, c.message_count - c.messages_deleted as message_count,
        ${sql.raw(payingTeam('c'))} as paying_team_id, c.payers = 'team_only' as is_team_only
      from ${reached(id, reach)}
      for update of c`.execute(this.#db)
    const [row] = rows
    if (row === undefined) return undefined
    const { id: lockedId, sealedFor, dataKey, ...locked } = row
    return { ...locked, ref: toConversationRef({ id: lockedId, sealedFor, dataKey }) }
  }

  async update(
    { ref: { id }, ownerId }: LockedConversation,
    { title, systemPrompt, isArchived, payingTeamId, isTeamOnly, teamId }: ConversationChange,
  ): Promise<void> {
    const values = [
      ...(title === undefined ? [] : [sql`title = ${title}, title_by = 'user'`]),
      ...(systemPrompt === undefined ? [] : [sql`system_prompt = ${systemPrompt}`]),
      ...(isArchived === undefined ? [] : [sql`archived_at = ${archivedAt(isArchived)}`]),
      ...(payingTeamId === undefined ? [] : [paidBy(payingTeamId)]),
      ...(teamId === undefined ? [] : [sql`team_id = ${teamId}::uuid`]),
      ...(isTeamOnly === undefined ? [] : [sql`payers = ${isTeamOnly ? 'team_only' : 'any'}`]),
    ]
    await sql`
      update conversations c set ${sql.join(values)}
      from (values (${ownerId}::uuid)) as asked (owner)
      where c.id = ${id}::uuid and ${IS_OWN}`.execute(this.#db)
  }

  /** Archives or hides it in the lists of a user who is not its owner, or takes it back into them. */
  async mark(id: string, userId: string, { isArchived, isHidden }: Marks): Promise<void> {
    const since = (isSo: boolean) => (isSo ? sql<Date>`now()` : null)
    const marks = {
      ...(isArchived === undefined ? {} : { archivedAt: since(isArchived) }),
      ...(isHidden === undefined ? {} : { hiddenAt: since(isHidden) }),
    }
    await this.#db
      .insertInto('conversationMarks')
      .values({ userId, conversationId: id, ...marks })
      .onConflict((conflict) => conflict.columns(['userId', 'conversationId']).doUpdateSet(marks))
      .execute()
  }

  /** With its data key, messages, grants and links, which foreign keys delete. */
  async delete({ ref: { id }, ownerId }: LockedConversation): Promise<void> {
    await sql.raw(LIFT_STATEMENT_LIMIT).execute(this.#db)
    await sql`
      delete from conversations c
      using (values (${ownerId}::uuid)) as asked (owner)
      where c.id = ${id}::uuid and ${IS_OWN}`.execute(this.#db)
  }
}

const IS_OWN = sql.raw(isOwnedBy('c', 'asked.owner'))

type LockedRow = Omit<LockedConversation, 'ref'> & {
  id: string
  sealedFor: string
  dataKey: Buffer
}

/** Keeps the moment of an earlier archiving. */
const archivedAt = (isArchived: boolean) =>
  isArchived ? sql`coalesce(archived_at, now())` : sql`null`

const paidBy = (teamId: string | null) =>
  sql`payer = ${teamId === null ? 'sender' : 'team'}, paying_team_id = ${teamId}::uuid`

/** For a `from`: `c` and the `access` to it, if the session reaches it and its user has any. */
const reached = (id: string, { userId, sessionId, readsAll }: Reach) => sql`
  (values (${id}::uuid, ${userId}::uuid, ${sessionId}::uuid, ${readsAll}::boolean))
    as asked (id, reader, session_id, reads_all)
  join sessions s on s.id = asked.session_id and s.user_id = asked.reader
  join conversations c on c.id = asked.id and ${sql.raw(isReached('c', 's', 'asked.reads_all'))}
  join ${sql.raw(accessTo('c', 'asked.reader'))} as access on true`
