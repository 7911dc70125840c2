/**
 * Conversations with a past, sealed as the gateway seals them, written straight into the database:
 * as many through the front door would take longer than the measurement.
 */

import { randomUUID } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import { parseEncryptionKey } from '../../src/config/encryption-key.ts'
import { KeyRing } from '../../src/crypto/sealed.ts'
import type { Schema } from '../../src/database/schema.ts'
import { Vault } from '../../src/services/keys/vault.ts'
import { bearer, ENCRYPTION_KEY, type User } from '../harness/identity.ts'
import type { ChatMessage } from '../load/calls.ts'
import type { Item } from '../load/job.ts'
import { MODEL } from '../servers/claude-answer.ts'

/** About 200 characters: a question or an answer of a few sentences. */
const TEXT =
  'The quick brown fox jumps over the lazy dog, and then it thinks about what it has done. '.repeat(
    2,
  )

/** Rows of one insert: PostgreSQL takes 65 535 parameters. */
const BATCH = 1000

export type Pool = {
  /** Each a conversation and the token of its owner. */
  items: Item[]
  conversationIds: string[]
  /** In each conversation. */
  messages: number
}

type PoolOptions = {
  conversationsPerUser: number
  /** In each conversation; even. */
  messages: number
  /** Of the first message that is still sent to Claude; 1 unless given. */
  historyStart?: number
}

/** The past of every seeded conversation, for those who have to send it themselves. */
export const pastMessages = (messages: number): ChatMessage[] =>
  Array.from({ length: messages }, (_, index) => ({
    role: index % 2 === 0 ? 'user' : 'assistant',
    text: TEXT,
  }))

export async function seedPool(
  db: Kysely<Schema>,
  users: readonly User[],
  { conversationsPerUser, messages, historyStart = 1 }: PoolOptions,
): Promise<Pool> {
  const items: Item[] = []
  const conversationIds: string[] = []
  for (let number = 0; number < conversationsPerUser; number++) {
    const rows = users.map(({ userId }) => sealedConversation(userId, messages))
    await insertConversations(
      db,
      rows.map(({ row }) => row),
      { messages, historyStart },
    )
    await insertMessages(
      db,
      rows.flatMap((row) => row.messages),
    )
    for (const [index, { row }] of rows.entries()) {
      items.push({ headers: bearer(users[index] as User), value: row.id })
      conversationIds.push(row.id)
    }
  }
  await sql`analyze`.execute(db)
  return { items, conversationIds, messages }
}

/** Takes back what rounds added, so that each begins with the same past. */
export async function resetPool(
  db: Kysely<Schema>,
  { conversationIds, messages }: Pool,
  historyStart = 1,
): Promise<void> {
  await sql`
    delete from messages where conversation_id = any(${conversationIds}) and position > ${messages}
  `.execute(db)
  await sql`
    update conversations
    set message_count = ${messages}, history_start = ${historyStart}, history_omitted = ${historyStart - 1}, running_message_id = null
    where id = any(${conversationIds}) and message_count <> ${messages}`.execute(db)
}

type Sealed = { id: string; userId: string; dataKey: Buffer; title: Buffer }

/** A row of conversations that opens, without messages unless asked. */
export function sealedConversation(userId: string, messages = 0) {
  const id = randomUUID()
  const { wrapped, vault } = VAULT.createConversationKey(id, userId)
  const row: Sealed = { id, userId, dataKey: wrapped, title: vault.sealTitle('About a quick fox') }
  return {
    row,
    messages: pastMessages(messages).map(({ role, text }, index) => {
      const messageId = randomUUID()
      const content = vault.sealContent(messageId, [{ type: 'text', text }])
      return { id: messageId, conversationId: id, userId, position: index + 1, role, content }
    }),
  }
}

/** Seals as the gateway of this run does. */
export const VAULT = new Vault(new KeyRing(parseEncryptionKey(ENCRYPTION_KEY), []))

async function insertConversations(
  db: Kysely<Schema>,
  rows: Sealed[],
  { messages, historyStart }: { messages: number; historyStart: number },
): Promise<void> {
  const kept = { model: MODEL, messageCount: messages, historyStart }
  const values = rows.map((row) => ({ ...row, ...kept, historyOmitted: historyStart - 1 }))
  await db.insertInto('conversations').values(values).execute()
}

type Message = ReturnType<typeof sealedConversation>['messages'][number]

async function insertMessages(db: Kysely<Schema>, rows: Message[]): Promise<void> {
  for (let start = 0; start < rows.length; start += BATCH) {
    const values = rows.slice(start, start + BATCH).map((row) => ({
      ...row,
      status: 'complete' as const,
      model: MODEL,
      tokenCount: Math.ceil(TEXT.length / 4),
    }))
    await db.insertInto('messages').values(values).execute()
  }
}
