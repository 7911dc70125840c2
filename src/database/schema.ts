/** Row types of db/migrations, as Kysely sees them: camelCase, instants as Date, int8 as string. */

import type { ColumnType, Generated, JSONColumnType } from 'kysely'

type Instant = ColumnType<Date, Date | undefined, Date>
type NullableInstant = ColumnType<Date | null, Date | null | undefined, Date | null>
/** Written with JSON.stringify: pg would turn a JavaScript array into a PostgreSQL array. */
type Json<T extends object | null> = JSONColumnType<T, string, string>

export type MessageStatus =
  | 'running'
  | 'complete'
  | 'refused'
  | 'failed'
  | 'cancelled'
  | 'interrupted'

export type SessionKind = 'password' | 'browser' | 'connection' | 'personal'

export interface UsersTable {
  id: string
  username: string
  usernameKey: string
  email: string
  emailKey: string
  passwordHash: string
  dataKey: Buffer
  createdAt: Instant
  /** Maintained by triggers. */
  conversationCount: Generated<string>
}

export interface ApiKeysTable {
  userId: string
  sealed: Buffer
  lastFour: string
  createdAt: Instant
  rejectedAt: NullableInstant
}

export interface SessionsTable {
  id: string
  userId: string
  createdAt: Instant
  expiresAt: Date
  revokedAt: NullableInstant
  kind: Generated<SessionKind>
  name: string | null
  clientId: string | null
  scopes: string[] | null
  tokenHash: Buffer | null
  limitNanoUsd: string | null
  elicitsUrls: Generated<boolean>
  lastUsedAt: NullableInstant
  provenAt: NullableInstant
}

/** `key`, `uidHash`: SHA-256, 32 bytes. */
export interface OauthRecordsTable {
  model: string
  key: Buffer
  sealed: Buffer
  userId: string | null
  grantId: string | null
  uidHash: Buffer | null
  consumedAt: NullableInstant
  successorKey: Generated<Buffer | null>
  createdAt: Instant
  expiresAt: Date | null
}

export interface OneTimeLinksTable {
  tokenHash: Buffer
  userId: string
  expiresAt: Date
}

export interface ConnectionSpendingTable {
  sessionId: string
  startsOn: string
  spentNanoUsd: Generated<string>
  reservedNanoUsd: Generated<string>
}

export interface SignInFailuresTable {
  id: Generated<string>
  accountKey: string
  userId: string | null
  failedAt: Instant
}

export interface SigningKeysTable {
  kid: string
  publicJwk: Json<Record<string, unknown>>
  sealed: Buffer
  createdAt: Instant
}

export interface ConversationsTable {
  id: string
  userId: string
  dataKey: Buffer
  title: Buffer
  systemPrompt: Buffer | null
  model: string
  isActive: Generated<boolean>
  messageCount: Generated<number>
  historyStart: Generated<number>
  historyOmitted: Generated<number>
  runningMessageId: string | null
  createdAt: Instant
  updatedAt: Instant
  /** The session that began it; unknown for conversations begun by an older build. */
  sessionId: string | null
  isListed: Generated<boolean>
  messagesDeleted: Generated<number>
}

/** `bytes`: maintained by triggers. */
export interface StorageTable {
  userId: string
  bytes: Generated<string>
  countedAt: NullableInstant
}

export interface ForgottenTurnsTable {
  answerId: string
  conversationId: string
  userId: string
  finishedAt: Instant
}

export interface MessagesTable {
  id: string
  conversationId: string
  userId: string
  position: number
  role: 'user' | 'assistant'
  status: MessageStatus
  content: Buffer | null
  model: string
  tokenCount: Generated<number>
  createdAt: Instant
  result: JSONColumnType<Record<string, unknown> | null, string | null, string | null>
  errorCode: string | null
  requestId: string | null
  idempotencyHash: Buffer | null
  requestFingerprint: Buffer | null
  replicaId: string | null
  leaseExpiresAt: NullableInstant
  finishedAt: NullableInstant
  durationMs: number | null
  upstreamMs: number | null
  tag: string | null
  stopSequence: Buffer | null
  checkpointTokens: Generated<number>
  cancelRequestedAt: NullableInstant
  joinedAt: NullableInstant
  reservation: JSONColumnType<StoredReservation | null, string | null, string | null>
}

/** Money as decimal text: JSON has no 64-bit integers. */
export interface StoredReservation {
  day: string
  month: string
  nanoUsd: string
  tokens: number
  /** Upper bound of the input, under the name that older builds use. */
  likelyInputTokens: number
  /** Upper bound of the output; for turns of an older build, the remainder of `tokens`. */
  maxTokens?: number
  /** The session that sent it; unknown for turns begun by an older build. */
  sessionId?: string
  /** Whether that session is a connection, whose own budget is reserved as well. */
  isConnection?: boolean
}

export type BudgetPeriod = 'day' | 'month'

export interface BudgetsTable {
  userId: string
  period: BudgetPeriod
  setBy: 'admin' | 'user'
  limitNanoUsd: ColumnType<string | null, string | null, string | null>
  limitTokens: ColumnType<string | null, string | null, string | null>
  updatedAt: Instant
}

export interface SpendingTable {
  userId: string
  period: BudgetPeriod
  startsOn: string
  spentNanoUsd: Generated<string>
  spentTokens: Generated<string>
  reservedNanoUsd: Generated<string>
  reservedTokens: Generated<string>
  carriedNanoUsd: Generated<string>
  carriedTokens: Generated<string>
}

/** One row. */
export interface NameKeysTable {
  id: number
  dataKey: Buffer
}

export interface FormerAccountsTable {
  nameHash: Buffer
  person: string
  heldBy: string | null
  day: string
  dayNanoUsd: string
  dayTokens: string
  month: string
  monthNanoUsd: string
  monthTokens: string
  adminLimits: Json<StoredAdminLimit[]>
}

/** 64 bits as decimal text. */
export interface StoredAdminLimit {
  period: BudgetPeriod
  limitNanoUsd: string | null
  limitTokens: string | null
}

export interface LedgerTable {
  id: Generated<string>
  userId: string
  conversationId: string
  messageId: string
  model: string
  inputTokens: number
  cacheWrite5mTokens: number
  cacheWrite1hTokens: number
  cacheReadTokens: number
  outputTokens: number
  thinkingTokens: number
  unitPrices: JSONColumnType<Record<string, number> | null, string | null, never>
  costNanoUsd: ColumnType<string | null, string | bigint | null, never>
  estimated: string | null
  requestId: string | null
  createdAt: Instant
  tag: string | null
  bookedOn: ColumnType<string, string | undefined, never>
  sessionId: string | null
}

export interface HeartbeatsTable {
  replicaId: string
  beatAt: Date
}

export interface RateLimitsTable {
  key: string
  hits: number
  resetAt: Date
}

export interface Schema {
  users: UsersTable
  apiKeys: ApiKeysTable
  sessions: SessionsTable
  connectionSpending: ConnectionSpendingTable
  oauthRecords: OauthRecordsTable
  oneTimeLinks: OneTimeLinksTable
  signInFailures: SignInFailuresTable
  signingKeys: SigningKeysTable
  conversations: ConversationsTable
  messages: MessagesTable
  ledger: LedgerTable
  budgets: BudgetsTable
  spending: SpendingTable
  storage: StorageTable
  forgottenTurns: ForgottenTurnsTable
  nameKeys: NameKeysTable
  formerAccounts: FormerAccountsTable
  rateLimits: RateLimitsTable
  heartbeats: HeartbeatsTable
}
