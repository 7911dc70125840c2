/** Exports all data of a user as one JSON document that is never in memory as a whole. */

import type { HeavyReads } from '../../concurrency/heavy-reads.ts'
import type { Memory } from '../../concurrency/memory.ts'
import { AppError } from '../../errors.ts'
import type { ExportedConversation, ExportedMessage } from '../../repositories/accounts/exports.ts'
import type { StoredLimit } from '../../repositories/billing/budgets.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import { toUsd } from '../../text/usd-amount.ts'
import { actorOf } from '../access/actor.ts'
import { holdSession } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import { requireScopes, type Scope } from '../access/scopes.ts'
import type { ListedSession, SessionService } from '../access/sessions.ts'
import type { AuditLog } from '../audit/audit-log.ts'
import type { BudgetRequests } from '../billing/requests/budget-requests.ts'
import { inChunks } from '../conversations/exports/chunks.ts'
import type { OpenExports } from '../conversations/exports/open-exports.ts'
import { type ConversationVault, textOf, type Vault } from '../keys/vault.ts'
import { elementsOf } from './paged-elements.ts'
import { participationOf } from './participation-export.ts'

type Deps = {
  repositories: Pick<
    Repositories,
    'apiKeys' | 'budgets' | 'conversations' | 'exports' | 'participation'
  >
  transact: Transact<'auditEvents' | 'authority'>
  audit: Pick<AuditLog, 'record'>
  sessions: Pick<SessionService, 'confirm' | 'list' | 'requireProof'>
  vault: Vault
  heavyReads: HeavyReads
  memory: Pick<Memory, 'refuseWhenShort'>
  open: OpenExports
  budgetRequests: Pick<BudgetRequests, 'listKept'>
  /** Without a trailing slash. */
  publicUrl: string
}

type KeptRequest = Awaited<ReturnType<BudgetRequests['listKept']>>[number]
type LedgerRow = Awaited<ReturnType<Repositories['exports']['listLedger']>>[number]

/** The scopes for all that the document contains. */
const NEEDED_SCOPES: readonly Scope[] = ['account', 'conversations:read', 'usage:read']

/** However slow the reader. The operator has to copy an account too large for this. */
export const EXPORT_DEADLINE_MS = 10 * 60_000
/** The session is checked before each chunk; at most this much is sent after it has ended. */
const CHUNK_CHARACTERS = 64 * 1024

const LEDGER_ROWS_PER_PAGE = 1000

export class ExportService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Accepts a cookie of the pages or an access token. */
  get downloadUrl(): string {
    return `${this.#deps.publicUrl}/account/export`
  }

  /** @throws AppError insufficient_scope. */
  async counts({ userId, scopes }: Caller) {
    requireScopes(scopes, NEEDED_SCOPES)
    const { conversations, exports } = this.#deps.repositories
    const [conversationCount, messages, usageRows] = await Promise.all([
      conversations.count(userId),
      exports.countMessages(userId),
      exports.countLedger(userId),
    ])
    return { conversations: conversationCount, messages, usageRows }
  }

  /**
   * Streams the caller's document in pieces; write each before reading the next. It contains what
   * was stored and billed when it began, and no secrets: the last four characters of the Anthropic
   * key, and sessions without tokens. The audit log has it before its first piece.
   *
   * @throws AppError insufficient_scope at once. Before any piece: unauthenticated when the
   *   caller's session has ended, request_too_large when the time is over. Before the first:
   *   proof_required, or rate_limited or overloaded when too many exports are being read.
   */
  stream(caller: Caller, deadlineMs = EXPORT_DEADLINE_MS): AsyncIterable<string> {
    requireScopes(caller.scopes, NEEDED_SCOPES)
    const chunks = inChunks(this.#document(caller), CHUNK_CHARACTERS)
    const whileAllowed = this.#whileAllowed(caller, performance.now() + deadlineMs, chunks)
    return this.#bounded(caller, whileAllowed)
  }

  async *#bounded(caller: Caller, pieces: AsyncIterable<string>) {
    await this.#deps.sessions.requireProof(caller)
    this.#deps.memory.refuseWhenShort()
    this.#deps.open.begin(caller.userId)
    try {
      await this.#record(caller)
      yield* pieces
    } finally {
      this.#deps.open.end(caller.userId)
    }
  }

  async #record(caller: Caller): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, NEEDED_SCOPES)
      await this.#deps.audit.record(repositories, {
        action: 'export.account',
        actor: actorOf(caller),
        target: { kind: 'user', id: caller.userId },
      })
    })
  }

  async *#whileAllowed(caller: Caller, until: number, chunks: AsyncIterable<string>) {
    for await (const chunk of chunks) {
      if (performance.now() > until) throw tookTooLong()
      await this.#deps.sessions.confirm(caller, NEEDED_SCOPES)
      yield chunk
    }
  }

  async *#document(caller: Caller): AsyncGenerator<string, void, undefined> {
    const { exports, budgets } = this.#deps.repositories
    yield `{"exported_at":${JSON.stringify(new Date())}`
    const { until, ...user } = await this.#user(caller.userId)
    yield `,"user":${JSON.stringify(user)}`
    const limits = await budgets.listLimits(caller.userId)
    const set = limits.filter(({ setBy }) => setBy !== 'raise')
    yield `,"budgets":${JSON.stringify(set.map(toBudget))}`
    const requests = await this.#deps.budgetRequests.listKept(caller.userId)
    yield `,"budget_requests":${JSON.stringify(requests.map(toRequest))}`
    const sessions = await this.#deps.sessions.list(caller)
    yield `,"sessions":${JSON.stringify(sessions.map(toSession))}`
    yield ',"conversations":['
    yield* this.#conversations(caller.userId, until)
    yield '],"usage":['
    yield* elementsOf(this.#deps.heavyReads, caller.userId, {
      read: (last: LedgerRow | undefined) =>
        exports.listLedger(caller.userId, until, {
          afterId: last?.id ?? '0',
          limit: LEDGER_ROWS_PER_PAGE,
        }),
      toElement: toUsage,
    })
    yield ']'
    yield* participationOf({ ...this.#deps, ...this.#deps.repositories }, caller.userId)
    yield '}'
  }

  async #user(userId: string) {
    const { exports, apiKeys } = this.#deps.repositories
    const { id, username, email, createdAt, until } = await exports.getUser(userId)
    const key = await apiKeys.findStatus(userId)
    return {
      until,
      id,
      username,
      email,
      created_at: createdAt,
      anthropic_key: key
        ? { last_four: key.lastFour, stored_at: key.createdAt, rejected_at: key.rejectedAt }
        : null,
    }
  }

  async *#conversations(userId: string, until: string) {
    const { exports } = this.#deps.repositories
    let separator = ''
    let last: ExportedConversation | undefined
    for (;;) {
      const read = () => exports.listConversations(userId, until, last?.id)
      const page = await this.#deps.heavyReads.run(userId, read)
      if (page.length === 0) return
      last = page.at(-1)
      for (const conversation of page) {
        const vault = this.#deps.vault.openConversation(conversation.ref)
        const head = JSON.stringify(toConversation(vault, conversation))
        yield `${separator}${head.slice(0, -1)},"messages":[`
        yield* this.#messages(userId, vault, conversation.id, until)
        yield ']}'
        separator = ','
      }
    }
  }

  #messages(userId: string, vault: ConversationVault, id: string, until: string) {
    const { exports } = this.#deps.repositories
    return elementsOf(this.#deps.heavyReads, userId, {
      read: (last: ExportedMessage | undefined) =>
        exports.listMessages({ id, userId }, until, last?.position ?? 0),
      toElement: (message) => toMessage(vault, message),
      bytesOf: ({ content }) => content?.length ?? 0,
    })
  }
}

const toBudget = ({ period, setBy, covers, nanoUsd, tokens }: StoredLimit) => ({
  period,
  set_by: setBy,
  covers,
  limit_usd: toUsd(nanoUsd),
  limit_tokens: tokens,
})

const toRequest = (request: KeptRequest) => ({
  id: request.id,
  team: request.teamName,
  about: request.book,
  period: request.period,
  limit_usd: toUsd(request.wantedNanoUsd),
  reason: request.reason,
  state: request.state,
  granted_usd: toUsd(request.grantedNanoUsd),
  created_at: request.createdAt,
  decided_at: request.decidedAt,
  until: request.until,
})

const toSession = (session: ListedSession) => ({
  id: session.id,
  kind: session.kind,
  name: session.name,
  client_id: session.clientId,
  scopes: session.scopes,
  limit_usd: toUsd(session.limitNanoUsd),
  created_at: session.createdAt,
  expires_at: session.expiresAt,
  last_used_at: session.lastUsedAt,
})

const toConversation = (vault: ConversationVault, row: ExportedConversation) => ({
  id: row.id,
  title: vault.openTitle(row.title),
  system_prompt: row.systemPrompt === null ? null : vault.openSystemPrompt(row.systemPrompt),
  model: row.model,
  is_active: row.isActive,
  created_at: row.createdAt,
  updated_at: row.updatedAt,
})

/** `blocks` only where Claude sent more than text, such as thinking. */
function toMessage(vault: ConversationVault, row: ExportedMessage) {
  const blocks = row.content === null ? [] : vault.openContent(row.id, row.content)
  const stopSequence = row.stopSequence && vault.openStopSequence(row.id, row.stopSequence)
  return {
    id: row.id,
    role: row.role,
    status: row.status,
    content: textOf(blocks),
    ...(blocks.every(({ type }) => type === 'text') ? {} : { blocks }),
    model: row.model,
    token_count: row.tokenCount,
    created_at: row.createdAt,
    finished_at: row.finishedAt,
    stop_sequence: stopSequence,
    error_code: row.errorCode,
    request_id: row.requestId,
    tag: row.tag,
  }
}

const toUsage = (row: LedgerRow) => ({
  conversation_id: row.conversationId,
  message_id: row.messageId,
  session_id: row.sessionId,
  model: row.model,
  input_tokens: row.inputTokens,
  cache_write_5m_tokens: row.cacheWrite5mTokens,
  cache_write_1h_tokens: row.cacheWrite1hTokens,
  cache_read_tokens: row.cacheReadTokens,
  output_tokens: row.outputTokens,
  cost_usd: toUsd(row.costNanoUsd),
  estimated: row.estimated,
  request_id: row.requestId,
  tag: row.tag,
  booked_on: row.bookedOn,
  created_at: row.createdAt,
})

const tookTooLong = () =>
  new AppError(
    'request_too_large',
    `The export was not read within ${EXPORT_DEADLINE_MS / 60_000} minutes. Fetch it over a faster connection, or ask the operator for a copy.`,
  )
