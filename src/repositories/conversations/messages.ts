import { type Kysely, sql } from 'kysely'
import type { MessageStatus, Schema } from '../../database/schema.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { prepareRead } from '../access/caller-reads.ts'
import { accessibleConversation } from '../access/conversation-access.ts'
import {
  type ReadableConversation,
  type ReadableRow,
  readableColumns,
  toReadable,
} from './conversations.ts'

/** `content` is sealed. */
export type ListedMessage = {
  id: string
  position: number
  role: 'user' | 'assistant'
  status: MessageStatus
  content: Buffer | null
  createdAt: Date
  finishedAt: Date | null
  tokenCount: number
  model: string
  errorCode: string | null
  /** Username of the user who sent the message or asked for the answer; null: a former user. */
  sender: string | null
  /** Of the key that paid for the answer; null also for a viewer, who may not know it. */
  keyLastFour: string | null
  /** Name of the team that paid; null: the sender did. */
  payingTeam: string | null
}

/** A page of messages. May be shorter than `limit`, but is empty only when there are no more. */
export type MessagePage = { limit: number; beforePosition: number | undefined; maxBytes: number }
export type ReadPage = { messages: ListedMessage[]; hasOlder: boolean }

/** The newest page, of what is read of a conversation with the session. */
export type AskedHistory = { conversationId: string; limit: number; maxBytes: number }
/**
 * `page`: undefined when its newest message alone is longer than `maxBytes`. `isCut`: by them, not by
 * the limit. `conversation`: null when the user has no access to it.
 */
export type HistoryRead =
  | { conversation: null }
  | { conversation: ReadableConversation; page: (ReadPage & { isCut: boolean }) | undefined }

/** Added per message, for the other fields of a result. */
const BYTES_BESIDE_TEXT = 256
/** A position after any message. */
const NEWEST = 2_147_483_647

/** Of a conversation without messages, all but the conversation is null. */
type Row = Omit<ListedMessage, 'id'> & {
  id: string | null
  /** Beyond the limit or the bytes. */
  isOlder: boolean
  /** Beyond the bytes, and not the limit. */
  isLong: boolean
}

type Range = { isRead?: string; limit: string; before: string; maxBytes: string }

/**
 * For each row of `a`, which has a `conversation_id` and a `user_id`: the conversation `c`, if the
 * user has access, and its messages `page`. Lengths are known without reading the texts, and what
 * does not fit is not read.
 */
const newestPage = ({ isRead = 'true', limit, before, maxBytes }: Range) => `
  left join ${accessibleConversation('a.conversation_id', 'a.user_id')} as c on ${isRead}
  left join lateral (
    select *, newest_row > 1 and (newest_row > ${limit} or bytes > ${maxBytes}) as is_older,
      newest_row <= ${limit} and bytes > ${maxBytes} as is_long
    from (
      select *, row_number() over newest_first as newest_row,
        sum(coalesce(octet_length(content), 0) + ${BYTES_BESIDE_TEXT}) over newest_first as bytes
      from (
        select * from messages
        where conversation_id = c.id and position >= c.from_position and position < ${before}
        order by position desc
        limit ${limit} + 1
      ) as newest
      window newest_first as (order by position desc)
    ) as measured
  ) as page on true`

/** Of {@link newestPage}. @param isRead SQL for whether the text of a message is. */
const messageColumns = (isRead: string) => `
  page.id, page.position, page.role, page.status,
  case when ${isRead} then page.content end as content,
  page.created_at, page.finished_at, page.token_count, page.model, page.error_code,
  page.is_older, page.is_long,
  case when c.role <> 'viewer' then page.key_last_four end as key_last_four,
  (select t.name from teams t where t.id = page.paying_team_id) as paying_team,
  (
    select u.username from users u where u.id = coalesce(page.sender_id, page.user_id)
  ) as sender`

const pageMessages = prepare<MessagePage & { conversationId: string; userId: string }, Row>(
  'page_messages',
  (value) => `
  select ${messageColumns('not page.is_older')}
  from (
    values (${value('conversationId', 'uuid')}, ${value('userId', 'uuid')})
  ) as a (conversation_id, user_id)${newestPage({
    limit: value('limit', 'integer'),
    before: value('beforePosition', 'integer'),
    maxBytes: value('maxBytes', 'integer'),
  })}
  order by page.position`,
)

const IS_FIRST = 'coalesce(page.newest_row = 1, true)'

/** The conversation is in one row. */
type HistoryRow = Row & (ReadableRow | { [Column in keyof ReadableRow]: null })

export const readHistory = prepareRead<AskedHistory, HistoryRow, HistoryRead>({
  name: 'histories',
  asked: { conversationId: 'uuid', limit: 'integer', maxBytes: 'integer' },
  scope: 'conversations:read',
  columns: `head.*, ${messageColumns('not page.is_older and not page.is_long')}`,
  tables: `${newestPage({
    isRead: 'a.is_allowed and a.reads_all',
    limit: 'a."limit"',
    before: String(NEWEST),
    maxBytes: 'a.max_bytes',
  })}
  left join lateral (select ${readableColumns('c')} where ${IS_FIRST}) as head on true`,
  isFirst: IS_FIRST,
  orderBy: 'page.position',
  toRead: toHistory,
})

export class MessageRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** The newest that fit into `maxBytes`, oldest first. A larger message comes alone. */
  async page(
    conversationId: string,
    userId: string,
    { beforePosition = NEWEST, ...page }: MessagePage,
  ): Promise<ReadPage> {
    const wanted = { conversationId, userId, beforePosition, ...page }
    return toPage(await pageMessages(this.#db, wanted))
  }

  /** The position of a message of this conversation that the user may read, without its text. */
  async findPosition(
    id: string,
    conversationId: string,
    userId: string,
  ): Promise<number | undefined> {
    const { rows } = await sql<{ position: number }>`
      select m.position
      from (values (${conversationId}::uuid, ${userId}::uuid)) as asked (id, reader)
      join ${READABLE} as c on true
      join messages m on m.conversation_id = c.id and m.position >= c.from_position
      where m.id = ${id}::uuid`.execute(this.#db)
    return rows[0]?.position
  }
}

const READABLE = sql.raw(accessibleConversation('asked.id', 'asked.reader'))

function toPage(rows: readonly Row[]): ReadPage {
  const messages = rows.flatMap((row) =>
    row.id === null || row.isOlder ? [] : [toListed(row, row.id)],
  )
  return { messages, hasOlder: rows.some((row) => row.isOlder) }
}

function toListed(row: Row, id: string): ListedMessage {
  const { position, role, status, content, createdAt, finishedAt, tokenCount, model } = row
  const { errorCode, sender, keyLastFour, payingTeam } = row
  return {
    id,
    position,
    role,
    status,
    content,
    createdAt,
    finishedAt,
    tokenCount,
    model,
    errorCode,
    sender,
    keyLastFour,
    payingTeam,
  }
}

function toHistory(rows: readonly HistoryRow[]): HistoryRead {
  const head = rows.find((row): row is Row & ReadableRow => row.conversationId !== null)
  if (head === undefined) return { conversation: null }
  const page = { ...toPage(rows), isCut: rows.some((row) => row.isLong) }
  return { conversation: toReadable(head), page: head.isLong ? undefined : page }
}
