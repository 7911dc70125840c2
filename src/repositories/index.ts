import { setTimeout as pause } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import { isConflict } from '../database/errors.ts'
import type { Schema } from '../database/schema.ts'
import { AuthorityRepository } from './access/authority.ts'
import { OAuthRecordRepository } from './access/oauth-records.ts'
import { OneTimeLinkRepository } from './access/one-time-links.ts'
import { RateLimitRepository } from './access/rate-limits.ts'
import { SessionCheckRepository } from './access/session-checks.ts'
import { SessionRepository } from './access/sessions.ts'
import { SignInFailureRepository } from './access/sign-in-failures.ts'
import { ApiKeyRepository } from './accounts/api-keys.ts'
import { ErasureRepository } from './accounts/erasure.ts'
import { ExportRepository } from './accounts/exports.ts'
import { FormerAccountRepository } from './accounts/former-accounts.ts'
import { UserRepository } from './accounts/users.ts'
import { BudgetRepository } from './billing/budgets.ts'
import { LedgerRepository } from './billing/ledger.ts'
import { LedgerAuditRepository } from './billing/ledger-audit.ts'
import { ConversationRepository } from './conversations/conversations.ts'
import { MessageRepository } from './conversations/messages.ts'
import { StorageRepository } from './conversations/storage.ts'
import { DataKeyRepository } from './keys/data-keys.ts'
import { SigningKeyRepository } from './keys/signing-keys.ts'
import { HeartbeatRepository } from './operations/heartbeats.ts'
import { StatisticsRepository } from './operations/statistics.ts'
import { AnswerNoticeRepository } from './turns/answer-events.ts'
import { AnswerRepository } from './turns/answers.ts'
import { TurnEndingRepository } from './turns/finish-turns.ts'
import { ForgottenTurnRepository } from './turns/forgotten-turns.ts'
import { LeaseRepository } from './turns/leases.ts'
import { TurnContextRepository } from './turns/load-turn-context.ts'
import { SendHistoryRepository } from './turns/send-histories.ts'
import { TurnBeginningRepository } from './turns/start-turns.ts'

export type { LedgerRow } from './billing/ledger.ts'

export type Repositories = ReturnType<typeof createRepositories>

/**
 * Runs the work in one transaction; a throw rolls all of it back. Retries it after a conflict with
 * another writer, so the work must have no side effects besides rows.
 */
export type Transact = <T>(work: (repositories: Repositories) => Promise<T>) => Promise<T>

/** All queries of the gateway, by table or aggregate. */
export function createRepositories(db: Kysely<Schema>) {
  return {
    answerNotices: new AnswerNoticeRepository(db),
    answers: new AnswerRepository(db),
    apiKeys: new ApiKeyRepository(db),
    authority: new AuthorityRepository(db),
    budgets: new BudgetRepository(db),
    conversations: new ConversationRepository(db),
    dataKeys: new DataKeyRepository(db),
    erasure: new ErasureRepository(db),
    exports: new ExportRepository(db),
    forgottenTurns: new ForgottenTurnRepository(db),
    formerAccounts: new FormerAccountRepository(db),
    heartbeats: new HeartbeatRepository(db),
    leases: new LeaseRepository(db),
    ledger: new LedgerRepository(db),
    ledgerAudit: new LedgerAuditRepository(db),
    messages: new MessageRepository(db),
    oauthRecords: new OAuthRecordRepository(db),
    oneTimeLinks: new OneTimeLinkRepository(db),
    rateLimits: new RateLimitRepository(db),
    sendHistories: new SendHistoryRepository(db),
    turnContexts: new TurnContextRepository(db),
    sessionChecks: new SessionCheckRepository(db),
    sessions: new SessionRepository(db),
    signInFailures: new SignInFailureRepository(db),
    signingKeys: new SigningKeyRepository(db),
    statistics: new StatisticsRepository(db),
    storage: new StorageRepository(db),
    turnBeginnings: new TurnBeginningRepository(db),
    turnEndings: new TurnEndingRepository(db),
    users: new UserRepository(db),
  }
}

export function createTransact(db: Kysely<Schema>): Transact {
  return async (work) => {
    for (let tries = 1; ; tries++) {
      try {
        return await db.transaction().execute((tx) => work(createRepositories(tx)))
      } catch (error) {
        if (tries === CONFLICT_TRIES || !isConflict(error)) throw error
        await pause(Math.random() * tries * CONFLICT_PAUSE_MS)
      }
    }
  }
}

const CONFLICT_TRIES = 5
const CONFLICT_PAUSE_MS = 20
