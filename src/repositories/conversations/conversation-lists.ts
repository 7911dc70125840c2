import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { Batcher } from '../../database/statements/batcher.ts'
import { jsonRows } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { prepareRead } from '../access/caller-reads.ts'
import {
  accessibleConversation,
  accessTo,
  type ConversationRole,
  hasReaders,
  isOwnedBy,
} from '../access/conversation-access.ts'
import { type ConversationRef, refColumns, toConversationRef } from '../access/conversation-ref.ts'
import { isSharedWith } from './shared-conversations.ts'

/** Keyset cursor of the list: newest activity first, ties by id. */
export type ConversationCursor = { updatedAt: Date; id: string }

export const CONVERSATION_FILTERS = ['mine', 'shared', 'archived', 'all'] as const

/** Own ones and those of others, both without the archived ones; the archived ones; everything. */
export type ConversationFilter = (typeof CONVERSATION_FILTERS)[number]

/** `title` is sealed. */
export type ListedRow = {
  id: string
  ref: ConversationRef
  title: Buffer
  model: string
  /** Of the messages that the reader may read. */
  messageCount: number
  isActive: boolean
  createdAt: Date
  updatedAt: Date
  role: ConversationRole
  /** Username. */
  owner: string
  isArchived: boolean
  isShared: boolean
  /**
   * Null also when the reader has no access to it. `conversationId` is null for a copy of what a link
   * showed.
   */
  branchedFrom: { conversationId: string | null; position: number } | null
  /** Who pays unless a call says otherwise; null for a viewer, who is not told. */
  payment: ShownPayment | null
}

/**
 * `team`: the name of the team that pays; null: each sender does. `belongsTo`: the name of the team
 * that it belongs to, if any.
 */
export type ShownPayment = { team: string | null; isTeamOnly: boolean; belongsTo: string | null }

/** @param limit 201 at most. */
type Page = {
  limit: number
  offset: number
  after?: ConversationCursor
  /** The team that they belong to; null: any or none. */
  teamId?: string | null
}

/** More than any page has. A constant in the SQL, since the planner's choice depends on it. */
const MOST_ROWS = 201

/** A page of a user's own conversations, without archived ones. */
export type AskedPage = { updatedBefore: string; idBefore: string; offset: number; limit: number }
type AskedUsersPage = AskedPage & { userId: string }

const ASKED: Record<keyof AskedPage, string> = {
  updatedBefore: 'timestamptz',
  idBefore: 'uuid',
  offset: 'integer',
  limit: 'integer',
}
const asked = jsonRows<keyof AskedUsersPage>({ userId: 'uuid', ...ASKED })

/** As the database gives it. */
export type ShownRow = Omit<ListedRow, 'ref' | 'branchedFrom'> & {
  sealedFor: string
  dataKey: Buffer
  branchedFrom: string | null
  branchedAtPosition: number | null
  branchedByLink: boolean
}

/** A row without an id stands for an empty page. One row of a page has the total. */
type Row = (ShownRow | { id: null }) & { total: string | null }
type ConversationList = { total: number; rows: ListedRow[] }

/** What is shown of `c` to a reader with the `access`. @param reader SQL for the user's id. */
export const shownColumns = (reader: string) => `
  c.id, ${refColumns('c')}, c.title, c.model,
  greatest(0, c.message_count - c.messages_deleted - (access.from_position - 1)) as message_count,
  c.is_active, c.created_at, c.updated_at, access.role,
  (select owner.username from users owner where owner.id = c.user_id) as owner,
  case when access.role = 'owner' then c.archived_at is not null else ${isMarked('c', reader)} end
    as is_archived,
  access.role <> 'owner' or ${hasReaders('c')} as is_shared,
  (
    select origin.id
    from (select c.branched_from as id where not c.branched_by_link) as wanted
    join ${accessibleConversation('wanted.id', reader)} as origin on true
  ) as branched_from,
  c.branched_at_position, c.branched_by_link,
  case when access.role <> 'viewer' then json_build_object(
    'team', case when c.payer = 'team' then (
      select payer.name from teams payer where payer.id = c.paying_team_id
    ) end,
    'isTeamOnly', c.payers = 'team_only',
    'belongsTo', case when c.team_id is not null then (
      select its.name from teams its where its.id = c.team_id
    ) end
  ) end as payment`

/** Whether a reader who is not its owner has archived it. */
const isMarked = (conversation: string, reader: string) => `exists (
    select from conversation_marks mark
    where mark.user_id = ${reader} and mark.conversation_id = ${conversation}.id
      and mark.archived_at is not null
  )`

const countArchived = (user: string) => `(
    select count(*) from conversations archived
    where ${isOwnedBy('archived', user)} and archived.archived_at is not null and archived.is_listed
  )`

/** Of the rows of a page, an empty one's too. */
const IS_FIRST = 'coalesce(shown.is_first, true)'
const NEWEST_FIRST = 'shown.updated_at desc, shown.id desc'

/** The own conversations `shown` of each page `a`. */
const ownPages = (isRead: string) => `
  left join lateral (
    select row_number() over () = 1 as is_first, ${shownColumns('a.user_id')}
    from (
      select own.* from conversations own
      where ${isOwnedBy('own', 'a.user_id')} and is_listed and archived_at is null
        and (updated_at, id) < (a.updated_before, a.id_before)
      order by updated_at desc, id desc
      limit ${MOST_ROWS} offset a."offset"
    ) as c
    join ${accessTo('c', 'a.user_id')} as access on true
    limit a."limit"
  ) as shown on ${isRead}`

/** Counted once for a page. */
const PAGE_COLUMNS = `
  case when ${IS_FIRST} then (
    select u.conversation_count - ${countArchived('u.id')} from users u where u.id = a.user_id
  ) end as total, shown.*`

/** Reads the default pages of several users in one statement. */
const listConversations = prepare<{ pages: string }, Row & { place: number }>(
  'list_conversations',
  (value) => `
  select a.place, ${PAGE_COLUMNS}
  from ${asked.as('a', value('pages', 'json'))}${ownPages('true')}
  order by a.place, ${NEWEST_FIRST}`,
)

/** The same page, read with the session of the request that asks for it. */
export const readOwnList = prepareRead<AskedPage, Row, ConversationList>({
  name: 'own_lists',
  asked: ASKED,
  scope: 'conversations:read',
  columns: PAGE_COLUMNS,
  tables: ownPages('a.is_allowed and a.reads_all'),
  isFirst: IS_FIRST,
  orderBy: NEWEST_FIRST,
  toRead: toList,
})

/** A cursor before any row. */
const NEWEST = { updatedBefore: 'infinity', idBefore: 'ffffffff-ffff-ffff-ffff-ffffffffffff' }

/** @param limit 201 at most. */
export function askedPage({ limit, offset, after }: Omit<Page, 'teamId'>): AskedPage {
  const from = after && { updatedBefore: after.updatedAt.toISOString(), idBefore: after.id }
  return { limit, offset, ...(from ?? NEWEST) }
}

/** Lists of conversations that a user has access to. */
export class ConversationListRepository {
  readonly #db: Kysely<Schema>
  readonly #pages = new Batcher<AskedUsersPage, Row[]>({
    run: (pages) => this.#listTogether(pages),
  })

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * One page, newest activity first, and how many the filter finds in all: by cursor (equally fast
   * at any depth) or by offset.
   */
  async list(
    userId: string,
    filter: ConversationFilter,
    { teamId = null, ...page }: Page,
  ): Promise<ConversationList> {
    const wanted = { userId, ...askedPage(page) }
    return toList(
      await (filter === 'mine' && teamId === null
        ? this.#pages.load(wanted)
        : this.#filtered(filter, wanted, teamId)),
    )
  }

  async #listTogether(pages: readonly AskedUsersPage[]): Promise<Row[][]> {
    const rows = await listConversations(this.#db, { pages: asked.toJson(pages) })
    return pages.map((_, place) => rows.filter((row) => row.place === place))
  }

  async #filtered(
    filter: ConversationFilter,
    page: AskedUsersPage,
    teamId: string | null,
  ): Promise<Row[]> {
    const { own, shared, ownTotal } = ofTeam(FILTERS[filter], teamId)
    const isAfter = sql`(c.updated_at, c.id)
      < (${page.updatedBefore}::timestamptz, ${page.idBefore}::uuid)`
    const { rows } = await sql<Row>`
      with asked as (select ${page.userId}::uuid as reader),
      shared as materialized (
        select c.id, c.updated_at
        from asked join conversations c on ${IS_SHARED} and c.is_listed and ${shared}
      ),
      page as (
        select id, updated_at from (
          (
            select c.id, c.updated_at
            from asked join conversations c on ${IS_OWN} and c.is_listed and ${own}
            where ${isAfter}
            order by c.updated_at desc, c.id desc
            limit ${page.limit + page.offset}
          )
          union all
          select c.id, c.updated_at from shared c where ${isAfter}
        ) as readable
        order by updated_at desc, id desc
        limit ${page.limit} offset ${page.offset}
      )
      select (select count(*) from shared) + ${ownTotal} as total, shown.*
      from asked
      left join lateral (
        select ${COLUMNS}
        from page
        join conversations c on c.id = page.id
        join ${sql.raw(accessTo('c', 'asked.reader'))} as access on true
      ) as shown on true
      order by shown.updated_at desc, shown.id desc`.execute(this.#db)
    return rows
  }
}

const COLUMNS = sql.raw(shownColumns('asked.reader'))
const IS_OWN = sql.raw(isOwnedBy('c', 'asked.reader'))
const IS_SHARED = sql.raw(isSharedWith('c', 'asked.reader'))
const IS_MARKED = sql.raw(isMarked('c', 'asked.reader'))

const COUNT_OWN = sql`(select conversation_count from users where id = asked.reader)`
const COUNT_ARCHIVED = sql.raw(countArchived('asked.reader'))

/** With a team, own ones are counted one by one. */
function ofTeam({ own, shared, ownTotal }: Filter, teamId: string | null): Filter {
  if (teamId === null) return { own, shared, ownTotal }
  const isOfTeam = sql`c.team_id = ${teamId}::uuid`
  return {
    own: sql`${own} and ${isOfTeam}`,
    shared: sql`${shared} and ${isOfTeam}`,
    ownTotal: sql`(
      select count(*) from conversations c
      where ${IS_OWN} and c.is_listed and ${own} and ${isOfTeam}
    )`,
  }
}

type Filter = Record<'own' | 'shared' | 'ownTotal', RawBuilder<unknown>>

/** Conditions for own conversations and those of others, and how many the first ones are. */
const FILTERS: Record<ConversationFilter, Filter> = {
  mine: {
    own: sql`c.archived_at is null`,
    shared: sql`false`,
    ownTotal: sql`${COUNT_OWN} - ${COUNT_ARCHIVED}`,
  },
  shared: { own: sql`false`, shared: sql`not ${IS_MARKED}`, ownTotal: sql`0` },
  archived: { own: sql`c.archived_at is not null`, shared: IS_MARKED, ownTotal: COUNT_ARCHIVED },
  all: { own: sql`true`, shared: sql`true`, ownTotal: COUNT_OWN },
}

export function toListed(row: ShownRow): ListedRow {
  const { id, sealedFor, dataKey, branchedFrom, branchedAtPosition, branchedByLink } = row
  const { title, model, messageCount, isActive, createdAt, updatedAt } = row
  const { role, owner, isArchived, isShared, payment } = row
  const position = branchedAtPosition ?? 0
  return {
    id,
    title,
    model,
    messageCount,
    isActive,
    createdAt,
    updatedAt,
    role,
    owner,
    isArchived,
    isShared,
    payment,
    ref: toConversationRef({ id, sealedFor, dataKey }),
    branchedFrom:
      branchedFrom === null && !branchedByLink ? null : { conversationId: branchedFrom, position },
  }
}

function toList(rows: readonly Row[]): ConversationList {
  const total = rows.find((row) => row.total !== null)?.total
  return {
    total: Number(total ?? 0),
    rows: rows.flatMap((row) => (row.id === null ? [] : [toListed(row)])),
  }
}
