import { setTimeout as pause } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import { isConflict } from '../database/errors.ts'
import type { Schema } from '../database/schema.ts'
import { AnswerNoticeRepository } from './answer-notices.ts'
import { AnswerRepository } from './answers.ts'
import { ApiKeyRepository } from './api-keys.ts'
import { AuthorityRepository } from './authority.ts'
import { BudgetRepository } from './budgets.ts'
import { ConversationRepository } from './conversations.ts'
import { DataKeyRepository } from './data-keys.ts'
import { ErasureRepository } from './erasure.ts'
import { ExportRepository } from './exports.ts'
import { ForgottenTurnRepository } from './forgotten-turns.ts'
import { FormerAccountRepository } from './former-accounts.ts'
import { HeartbeatRepository } from './heartbeats.ts'
import { LeaseRepository } from './leases.ts'
import { LedgerRepository } from './ledger.ts'
import { LedgerAuditRepository } from './ledger-audit.ts'
import { MessageRepository } from './messages.ts'
import { OAuthRecordRepository } from './oauth-records.ts'
import { OneTimeLinkRepository } from './one-time-links.ts'
import { RateLimitRepository } from './rate-limits.ts'
import { SendHistoryRepository } from './send-histories.ts'
import { SendOpeningRepository } from './send-openings.ts'
import { SessionCheckRepository } from './session-checks.ts'
import { SessionRepository } from './sessions.ts'
import { SignInFailureRepository } from './sign-in-failures.ts'
import { SigningKeyRepository } from './signing-keys.ts'
import { StatisticsRepository } from './statistics.ts'
import { StorageRepository } from './storage.ts'
import { TurnBeginningRepository } from './turn-beginnings.ts'
import { TurnEndingRepository } from './turn-endings.ts'
import { UserRepository } from './users.ts'

export type { LedgerRow } from './ledger.ts'

export type Repositories = ReturnType<typeof createRepositories>

/**
 * Runs the work in one transaction; a throw rolls all of it back. It is run again when another
 * writer was in its way, and so must leave nothing behind but rows.
 */
export type Transact = <T>(work: (repositories: Repositories) => Promise<T>) => Promise<T>

/** Every query of the gateway, by table or aggregate. */
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
    sendOpenings: new SendOpeningRepository(db),
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
