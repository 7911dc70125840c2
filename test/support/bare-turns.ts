/** Turns as the repositories take them, for tests that begin and end them without Claude. */

import { type Kysely, sql } from 'kysely'
import { newId } from '../../src/crypto/random.ts'
import type { Schema, StoredTeamPayer } from '../../src/database/schema.ts'
import type { EndingTurn, TurnEnd } from '../../src/repositories/turns/finish-turns.ts'
import type { NewTurn } from '../../src/repositories/turns/start-turns.ts'

const MODEL = 'claude-sonnet-5'
const NO_LIMIT = { nanoUsd: null, tokens: null }

/** Who can own rows, with a session of the same id, and do nothing else. @returns the id. */
export async function insertUser(db: Kysely<Schema>): Promise<string> {
  const id = newId()
  const unique = { username: id, usernameKey: id, email: id, emailKey: id }
  const row = { id, ...unique, passwordHash: '', dataKey: Buffer.alloc(1) }
  await db.insertInto('users').values(row).execute()
  const expiresAt = new Date(Date.now() + 3_600_000)
  await db.insertInto('sessions').values({ id, userId: id, expiresAt }).execute()
  return id
}

/** Of these members, with a key that nothing opens. */
export async function insertTeam(
  db: Kysely<Schema>,
  memberIds: readonly string[],
): Promise<StoredTeamPayer> {
  const team = { teamId: newId(), keyId: newId() }
  const { teamId, keyId } = team
  const names = { name: teamId, nameKey: teamId, createdBy: null }
  await db
    .insertInto('teams')
    .values({ id: teamId, ...names, dataKey: Buffer.alloc(1) })
    .execute()
  const key = { id: keyId, teamId, lastFour: '1234', sealed: Buffer.alloc(1) }
  await db.insertInto('teamKeys').values(key).execute()
  for (const userId of memberIds) {
    await db.insertInto('teamMembers').values({ teamId, userId, role: 'member' }).execute()
  }
  return team
}

/** The first turn of a new conversation, which costs nothing and which no limit holds back. */
export const bareTurn = (userId: string, sessionId = userId): NewTurn => ({
  userId,
  sessionId,
  readsAll: true,
  isCapped: false,
  conversationId: newId(),
  opening: { dataKey: Buffer.alloc(1), model: MODEL },
  title: Buffer.alloc(1),
  messageCount: 0,
  userMessageId: newId(),
  answerId: newId(),
  content: Buffer.alloc(1),
  tokenCount: 1,
  model: MODEL,
  idempotencyHash: null,
  requestFingerprint: null,
  replicaId: newId(),
  leaseSeconds: 3600,
  tag: null,
  keyLastFour: null,
  isPayerNamed: false,
  conversationPayer: null,
  periods: { day: '2026-11-22', month: '2026-11-01' },
  limits: { day: NO_LIMIT, month: NO_LIMIT, connectionNanoUsd: null },
  worst: {
    inputTokens: 0,
    inputNanoUsd: 0n,
    outputNanoUsd: null,
    maxTokens: 0,
    leastTokens: 0,
  },
  storage: { newBytes: 0, limitBytes: null },
})

/** Nothing was delivered, and nothing billed. */
const BARE_END: TurnEnd = {
  status: 'failed',
  content: null,
  stopSequence: null,
  model: MODEL,
  tokenCount: 0,
  receipt: null,
  errorCode: null,
  requestId: null,
  durationMs: 0,
  upstreamMs: 0,
  keepIdempotencyKey: false,
}

export const bareEnd = (
  { answerId, conversationId, userId, sessionId, isCapped, periods, limits, team }: NewTurn,
  reserved: { nanoUsd: bigint; tokens: number },
): EndingTurn => ({
  answerId,
  conversationId,
  userId,
  end: BARE_END,
  reservation: {
    ...periods,
    ...reserved,
    likelyInputTokens: 0,
    sessionId,
    isConnection: isCapped,
    ...(team && { team }),
  },
  spent: { nanoUsd: 0n, tokens: 0 },
  ledgerRow: null,
  limits,
  leastPercent: 100,
  changes: {},
  forgotten: null,
})

/** How many transactions wrote these answers: a statement that stands alone is one. */
export async function countTransactions(
  db: Kysely<Schema>,
  turns: readonly Pick<NewTurn, 'answerId'>[],
): Promise<number | undefined> {
  const ids = turns.map(({ answerId }) => answerId)
  const { rows } = await sql<{ count: number }>`
    select count(distinct xmin::text)::int as count from messages where id in (${sql.join(ids)})
  `.execute(db)
  return rows[0]?.count
}
