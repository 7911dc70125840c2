import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { Batcher } from '../../database/statements/batcher.ts'
import { jsonRows } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { AppError } from '../../errors.ts'

/** Keyset cursor of the list: newest activity first, ties by id. */
export type ConversationCursor = { updatedAt: Date; id: string }

export const conversationNotFound = () =>
  new AppError(
    'not_found',
    'You have no conversation with this id. get_conversations lists yours.',
    {
      details: { field: 'conversation_id' },
    },
  )

export const conversationBusy = () =>
  new AppError(
    'conversation_busy',
    'Claude is still answering in this conversation. Send again when that answer is there, or stop it with cancel_message.',
    { retryAfterSeconds: 2 },
  )

/** More than any page has. A constant in the SQL, since the planner's choice depends on it. */
const MOST_ROWS = 201

type ListedConversation = {
  id: string
  dataKey: Buffer
  title: Buffer
  model: string
  messageCount: number
  isActive: boolean
  createdAt: Date
  updatedAt: Date
}

type AskedPage = {
  userId: string
  updatedBefore: string
  idBefore: string
  offset: number
  limit: number
}

const asked = jsonRows<keyof AskedPage>({
  userId: 'uuid',
  updatedBefore: 'timestamptz',
  idBefore: 'uuid',
  offset: 'integer',
  limit: 'integer',
})

/** A row without an id stands for an empty page. */
type Row = (ListedConversation | { id: null }) & { place: number; total: string }

/** Reads the pages of several users in one statement. */
const listConversations = prepare<{ pages: string }, Row>(
  'list_conversations',
  (value) => `
  select a.place, u.conversation_count as total, c.*
  from ${asked.as('a', value('pages', 'json'))}
  join users u on u.id = a.user_id
  left join lateral (
    select id, data_key, title, model, message_count - messages_deleted as message_count, is_active,
      created_at, updated_at
    from (
      select * from conversations
      where user_id = u.id and is_listed and (updated_at, id) < (a.updated_before, a.id_before)
      order by updated_at desc, id desc
      limit ${MOST_ROWS} offset a."offset"
    ) as nearest
    limit a."limit"
  ) as c on true
  order by a.place, c.updated_at desc, c.id desc`,
)

/** A cursor before any row. */
const NEWEST = { updatedBefore: 'infinity', idBefore: 'ffffffff-ffff-ffff-ffff-ffffffffffff' }

export class ConversationRepository {
  readonly #db: Kysely<Schema>
  readonly #pages = new Batcher<AskedPage, Row[]>({ run: (pages) => this.#listTogether(pages) })

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** @throws AppError not_found, also when it is another user's. */
  async get(id: string, userId: string) {
    return this.#db
      .selectFrom('conversations')
      .select(['id', 'userId', 'dataKey'])
      .select(sql<number>`message_count - messages_deleted`.as('messageCount'))
      .where('id', '=', id)
      .where('userId', '=', userId)
      .executeTakeFirstOrThrow(conversationNotFound)
  }

  /**
   * One page, newest activity first, and how many the user has in all: by cursor (equally fast at
   * any depth) or by offset.
   *
   * @param page.limit 201 at most.
   */
  async list(userId: string, page: { limit: number; offset: number; after?: ConversationCursor }) {
    const { limit, offset, after } = page
    const from = after && { updatedBefore: after.updatedAt.toISOString(), idBefore: after.id }
    const rows = await this.#pages.load({ userId, limit, offset, ...(from ?? NEWEST) })
    return {
      total: Number(rows[0]?.total ?? 0),
      rows: rows.flatMap(({ place: _place, total: _total, ...row }) =>
        row.id === null ? [] : [row],
      ),
    }
  }

  /** One user's, or (null) everyone's. */
  async count(userId: string | null): Promise<number> {
    const { conversations } = await this.#db
      .selectFrom('users')
      .select(sql<string>`coalesce(sum(conversation_count), 0)`.as('conversations'))
      .$if(userId !== null, (query) => query.where('id', '=', userId as string))
      .executeTakeFirstOrThrow()
    return Number(conversations)
  }

  async #listTogether(pages: readonly AskedPage[]): Promise<Row[][]> {
    const rows = await listConversations(this.#db, { pages: asked.toJson(pages) })
    return pages.map((_, place) => rows.filter((row) => row.place === place))
  }
}
