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
  role: Generated<InstallationRole>
  suspendedAt: NullableInstant
}

export type InstallationRole = 'member' | 'auditor' | 'admin'
export type TeamRole = 'owner' | 'admin' | 'member'

export interface TeamsTable {
  id: string
  name: string
  nameKey: string
  dataKey: Buffer
  createdBy: string | null
  createdAt: Instant
  archivedAt: NullableInstant
  sharesFrom: Generated<'members' | 'anyone' | 'nobody'>
  onDeparture: Generated<'keep' | 'delete'>
  defaultPayer: Generated<'sender' | 'team'>
  payers: Generated<'any' | 'team_only'>
}

export interface TeamMembersTable {
  teamId: string
  userId: string
  role: TeamRole
  source: Generated<'manual' | 'oidc' | 'scim'>
  addedBy: string | null
  addedAt: Instant
}

/** `sealed`: null once it is removed. */
export interface TeamKeysTable {
  id: string
  teamId: string
  label: string | null
  sealed: Buffer | null
  lastFour: string
  addedBy: string | null
  addedAt: Instant
  rejectedAt: NullableInstant
  removedAt: NullableInstant
}

export interface TeamBudgetsTable {
  teamId: string
  period: BudgetPeriod
  setBy: 'admin' | 'team'
  limitNanoUsd: ColumnType<string | null, string | null, string | null>
  limitTokens: ColumnType<string | null, string | null, string | null>
  updatedAt: Instant
}

export interface MemberCapsTable {
  teamId: string
  /** Null: of every member without one. */
  userId: string | null
  period: BudgetPeriod
  limitNanoUsd: ColumnType<string | null, string | null, string | null>
  limitTokens: ColumnType<string | null, string | null, string | null>
  updatedAt: Instant
}

export interface TeamSpendingTable {
  teamId: string
  period: BudgetPeriod
  startsOn: string
  spentNanoUsd: Generated<string>
  spentTokens: Generated<string>
  reservedNanoUsd: Generated<string>
  reservedTokens: Generated<string>
}

export interface MemberSpendingTable extends TeamSpendingTable {
  userId: string
}

/** The user's own limit, a member's part of a pool, or the pool. */
export type RequestedBook = 'user' | 'member' | 'team'

export interface BudgetRequestsTable {
  id: string
  teamId: string | null
  userId: string
  book: Generated<RequestedBook>
  period: BudgetPeriod
  wantedNanoUsd: string
  reason: Buffer | null
  state: Generated<'open' | 'approved' | 'denied' | 'withdrawn'>
  createdAt: Instant
  decidedBy: string | null
  decidedAt: NullableInstant
  decidedAs: 'team' | 'installation' | null
  grantedNanoUsd: ColumnType<string | null, string | null, string | null>
  until: NullableInstant
}

/** `tokenHash`: SHA-256, 32 bytes. */
export interface InvitationsTable {
  id: string
  tokenHash: Buffer
  teamId: string | null
  teamRole: TeamRole | null
  installationRole: Generated<InstallationRole>
  usernameKey: string | null
  emailKey: string | null
  authority: 'team' | 'installation'
  createdBy: string | null
  createdAt: Instant
  expiresAt: Date
  usedBy: string | null
  usedAt: NullableInstant
  revokedAt: NullableInstant
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
  limitNanoUsd: ColumnType<string | null, string | bigint | null | undefined, bigint | null>
  elicitsUrls: Generated<boolean>
  lastUsedAt: NullableInstant
  provenAt: NullableInstant
  allowedModels: Generated<string[] | null>
  purses: Generated<string[]>
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
  purpose: Generated<'key' | 'password'>
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
  sealedFor: string | null
  archivedAt: NullableInstant
  titleBy: 'user' | 'gateway' | 'import' | null
  branchedFrom: string | null
  branchedAtPosition: number | null
  branchedByLink: Generated<boolean>
  importSource: string | null
  importRef: Buffer | null
  payer: Generated<'sender' | 'team'>
  payers: Generated<'any' | 'team_only'>
  /** Of payer `team`. */
  payingTeamId: string | null
  teamId: string | null
  retainUntil: NullableInstant
}

/** To a person, a team, or (neither is named) everybody. */
export interface ConversationGrantsTable {
  id: string
  conversationId: string
  userId: string | null
  teamId: string | null
  role: 'viewer' | 'contributor'
  grantedBy: string
  createdAt: Instant
  acceptedAt: NullableInstant
  expiresAt: NullableInstant
  fromPosition: Generated<number>
}

export interface ConversationMarksTable {
  userId: string
  conversationId: string
  archivedAt: NullableInstant
  hiddenAt: NullableInstant
  lastReadPosition: number | null
}

export interface ConversationLinksTable {
  id: string
  tokenHash: Buffer
  conversationId: string
  audience: 'team' | 'everybody' | 'public'
  teamId: string | null
  throughPosition: number
  label: Buffer | null
  createdBy: string
  createdAt: Instant
  expiresAt: Date
  revokedAt: NullableInstant
  views: Generated<number>
  lastViewedOn: string | null
  crawledOn: string | null
}

export interface UserSettingsTable {
  userId: string
  sharesFrom: Generated<'anyone' | 'teammates' | 'nobody'>
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
  /** Null: the owner of the conversation, `userId`. */
  senderId: string | null
  payer: 'user' | 'team' | null
  payingTeamId: string | null
  keyLastFour: string | null
  imported: Generated<boolean>
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
  /** Whether that session's own budget is reserved as well: a connection's, or a capped token's. */
  isConnection?: boolean
  /** Left out: 1. A process settles only what has a version that it knows. */
  v?: 2 | 3
  /**
   * The team that pays, of whose books it was reserved: version 2 of an answer, 3 of a call without
   * a conversation.
   */
  team?: StoredTeamPayer
}

export interface StoredTeamPayer {
  teamId: string
  /** The team's key. */
  keyId: string
}

export type BudgetPeriod = 'day' | 'month'

/** What counts in a limit: what is paid with the user's own key, or also what teams pay. */
export type Covers = 'own_key' | 'everything'

export interface BudgetsTable {
  userId: string
  period: BudgetPeriod
  setBy: 'admin' | 'user'
  limitNanoUsd: ColumnType<string | null, string | null, string | null>
  limitTokens: ColumnType<string | null, string | null, string | null>
  updatedAt: Instant
  covers: Generated<Covers>
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
  teamSpentNanoUsd: Generated<string>
  teamSpentTokens: Generated<string>
  teamReservedNanoUsd: Generated<string>
  teamReservedTokens: Generated<string>
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
  /** Left out: own_key. */
  covers?: Covers
  limitNanoUsd: string | null
  limitTokens: string | null
}

export interface LedgerTable {
  id: Generated<string>
  userId: string
  /** Null, like the message, for a call without a conversation. */
  conversationId: string | null
  messageId: string | null
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
  /** Null: the sender, `userId`. */
  ownerId?: string | null
  source: Generated<CallSource>
  callId: string | null
  client: string | null
  sessionLabel: string | null
  agentId: string | null
  requestClass: string | null
  status: string | null
  stopReason: string | null
  speed: string | null
  geo: string | null
  tier: string | null
  webSearches: Generated<number>
  iterations: JSONColumnType<Record<string, unknown>[] | null, string | null, never>
  maxTokensAsked: number | null
  maxTokensSent: number | null
  msToFirstByte: number | null
  msTotal: number | null
  payer: Generated<'user' | 'team'>
  teamId: string | null
  /** Of the team; null: the sender's own. */
  keyId: string | null
  keyLastFour: string | null
}

/** The way a call came in: a message of a conversation, or the Messages API. */
export type CallSource = 'mcp' | 'messages'

export interface CallsTable {
  id: string
  userId: string
  sessionId: string
  source: CallSource
  model: string
  tag: string | null
  client: string | null
  sessionLabel: string | null
  agentId: string | null
  requestClass: string | null
  maxTokensAsked: number
  maxTokensSent: number
  keyLastFour: string | null
  reservation: JSONColumnType<StoredReservation, string, string>
  replicaId: string
  leaseExpiresAt: Date
  cancelRequestedAt: NullableInstant
  startedAt: Instant
}

export interface AuditKeysTable {
  id: string
  dataKey: Buffer
  publicJwk: Json<Record<string, unknown>>
  sealed: Buffer
  createdAt: Instant
}

/** `hash`: SHA-256, 32 bytes. */
export interface AuditHeadsTable {
  chain: string
  seq: string
  hash: Buffer
}

/** `prevHash`, `hash`, `mac`: 32 bytes. */
export interface AuditEventsTable {
  chain: string
  seq: string
  at: Date
  action: string
  actorKind: string
  actorId: string | null
  sessionId: string | null
  addressPrefix: string | null
  targetKind: string | null
  targetId: string | null
  teamId: string | null
  detail: string
  prevHash: Buffer
  hash: Buffer
  mac: Buffer
  keyId: string
}

export interface AuditCheckpointsTable {
  at: Date
  text: string
}

/** `userId`: the zero uuid where the alert is of a team alone. `threshold`: 0: a call was stopped. */
export interface BudgetAlertsTable {
  bookKind: 'user' | 'team' | 'member' | 'connection'
  bookId: string
  userId: string
  period: BudgetPeriod
  startsOn: string
  threshold: number
  limitNanoUsd: string | null
  limitTokens: string | null
  spentNanoUsd: string
  spentTokens: string
  firedAt: Instant
  toldAt: NullableInstant
}

/** Sealed: `dataKey` under the KEK, `url` and the secrets under that. */
export interface WebhooksTable {
  id: string
  teamId: string | null
  dataKey: Buffer
  url: Buffer
  secret: Buffer
  previousSecret: ColumnType<Buffer | null, Buffer | null | undefined, Buffer | null>
  previousUntil: NullableInstant
  events: string[]
  createdBy: string | null
  createdAt: Instant
  deliveredAt: NullableInstant
  failingSince: NullableInstant
  lastProblem: ColumnType<string | null, string | null | undefined, string | null>
  dropped: Generated<string>
  disabledAt: NullableInstant
  disabledReason: ColumnType<
    DisabledReason | null,
    DisabledReason | null | undefined,
    DisabledReason | null
  >
}

export type DisabledReason = 'by_hand' | 'gone' | 'failing'

export interface WebhookEventsTable {
  id: string
  event: string
  teamId: string | null
  data: Json<Record<string, unknown>>
  occurredAt: Instant
}

export interface WebhookDeliveriesTable {
  id: string
  webhookId: string
  event: string
  /** Sealed under the webhook's data key. */
  body: Buffer
  createdAt: Instant
  attempts: Generated<number>
  nextAttemptAt: Instant
  deliveredAt: NullableInstant
  lastStatus: ColumnType<number | null, number | null | undefined, number | null>
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
  teams: TeamsTable
  teamMembers: TeamMembersTable
  teamKeys: TeamKeysTable
  teamBudgets: TeamBudgetsTable
  memberCaps: MemberCapsTable
  teamSpending: TeamSpendingTable
  memberSpending: MemberSpendingTable
  budgetRequests: BudgetRequestsTable
  invitations: InvitationsTable
  apiKeys: ApiKeysTable
  sessions: SessionsTable
  connectionSpending: ConnectionSpendingTable
  oauthRecords: OauthRecordsTable
  oneTimeLinks: OneTimeLinksTable
  signInFailures: SignInFailuresTable
  signingKeys: SigningKeysTable
  conversations: ConversationsTable
  conversationGrants: ConversationGrantsTable
  conversationMarks: ConversationMarksTable
  conversationLinks: ConversationLinksTable
  userSettings: UserSettingsTable
  messages: MessagesTable
  ledger: LedgerTable
  calls: CallsTable
  budgets: BudgetsTable
  spending: SpendingTable
  storage: StorageTable
  forgottenTurns: ForgottenTurnsTable
  nameKeys: NameKeysTable
  formerAccounts: FormerAccountsTable
  rateLimits: RateLimitsTable
  heartbeats: HeartbeatsTable
  auditKeys: AuditKeysTable
  auditHeads: AuditHeadsTable
  auditEvents: AuditEventsTable
  auditCheckpoints: AuditCheckpointsTable
  budgetAlerts: BudgetAlertsTable
  webhooks: WebhooksTable
  webhookEvents: WebhookEventsTable
  webhookDeliveries: WebhookDeliveriesTable
}
