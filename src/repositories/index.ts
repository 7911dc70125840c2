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
import { DepartureRepository } from './accounts/departures.ts'
import { ErasureRepository } from './accounts/erasure.ts'
import { ExportRepository } from './accounts/exports.ts'
import { FormerAccountRepository } from './accounts/former-accounts.ts'
import { ParticipationRepository } from './accounts/participation.ts'
import { UserRepository } from './accounts/users.ts'
import { AuditCheckpointRepository } from './audit/checkpoints.ts'
import { AuditEventRepository } from './audit/events.ts'
import { AuditKeyRepository } from './audit/keys.ts'
import { BudgetAlertRepository } from './billing/alerts/budget-alerts.ts'
import { AllocationRepository } from './billing/allocation.ts'
import { BudgetRepository } from './billing/budgets.ts'
import { CallRepository } from './billing/calls.ts'
import { LedgerRepository } from './billing/ledger.ts'
import { LedgerAuditRepository } from './billing/ledger-audit.ts'
import { CallerReadRepository } from './caller-reads.ts'
import { BranchSourceRepository } from './conversations/branch-sources.ts'
import { ConversationChangeRepository } from './conversations/conversation-changes.ts'
import { ConversationExportRepository } from './conversations/conversation-exports.ts'
import { ConversationHeadRepository } from './conversations/conversation-heads.ts'
import { ConversationListRepository } from './conversations/conversation-lists.ts'
import { ConversationWriterRepository } from './conversations/conversation-writer.ts'
import { ConversationRepository } from './conversations/conversations.ts'
import { ImportRepository } from './conversations/imports.ts'
import { MessageRepository } from './conversations/messages.ts'
import { SearchRepository } from './conversations/searches.ts'
import { AllLinksRepository } from './conversations/sharing/all-links.ts'
import { GrantRepository } from './conversations/sharing/grants.ts'
import { LinkRepository } from './conversations/sharing/links.ts'
import { OwnershipRepository } from './conversations/sharing/ownership.ts'
import { RecipientRepository } from './conversations/sharing/recipients.ts'
import { SnapshotRepository } from './conversations/sharing/snapshots.ts'
import { TeamConversationRepository } from './conversations/sharing/team-conversations.ts'
import { StorageRepository } from './conversations/storage.ts'
import { DataKeyRepository } from './keys/data-keys.ts'
import { SigningKeyRepository } from './keys/signing-keys.ts'
import { HeartbeatRepository } from './operations/heartbeats.ts'
import { StatisticsRepository } from './operations/statistics.ts'
import { BudgetRequestRepository } from './teams/budget-requests.ts'
import { InvitationRepository } from './teams/invitations.ts'
import { TeamBookRepository } from './teams/team-books.ts'
import { TeamBudgetRepository } from './teams/team-budgets.ts'
import { TeamKeyRepository } from './teams/team-keys.ts'
import { TeamMemberRepository } from './teams/team-members.ts'
import { TeamPurseRepository } from './teams/team-purses.ts'
import { TeamRepository } from './teams/teams.ts'
import { AnswerNoticeRepository } from './turns/answer-events.ts'
import { AnswerRepository } from './turns/answers.ts'
import { TurnEndingRepository } from './turns/finish-turns.ts'
import { ForgottenTurnRepository } from './turns/forgotten-turns.ts'
import { LeaseRepository } from './turns/leases.ts'
import { TurnContextRepository } from './turns/load-turn-context.ts'
import { SendHistoryRepository } from './turns/send-histories.ts'
import { TurnBeginningRepository } from './turns/start-turns.ts'
import { TeamPayers } from './turns/team-payers.ts'
import { WebhookDeliveryRepository } from './webhooks/webhook-deliveries.ts'
import { WebhookEventRepository } from './webhooks/webhook-events.ts'
import { WebhookRepository } from './webhooks/webhooks.ts'

export type { LedgerRow } from './billing/ledger.ts'

export type Repositories = ReturnType<typeof createRepositories>

/** What transactions use; the others only have statements that stand alone. */
export type InTransaction = ReturnType<typeof createForTransaction>

/**
 * Runs the work in one transaction, with the repositories that it names; a throw rolls all of it
 * back. Retries it after a conflict with another writer, so the work must have no side effects
 * besides rows.
 */
export type Transact<Names extends keyof InTransaction> = <T>(
  work: (repositories: Pick<InTransaction, Names>) => Promise<T>,
) => Promise<T>

/** All queries of the gateway, by table or aggregate. */
export function createRepositories(db: Kysely<Schema>) {
  const teamPayers = new TeamPayers()
  return {
    ...createForTransaction(db),
    allocation: new AllocationRepository(db),
    answerNotices: new AnswerNoticeRepository(db),
    callerReads: new CallerReadRepository(db, teamPayers),
    calls: new CallRepository(db),
    auditKeys: new AuditKeyRepository(db),
    conversationExports: new ConversationExportRepository(db),
    conversationHeads: new ConversationHeadRepository(db),
    conversationLists: new ConversationListRepository(db),
    conversations: new ConversationRepository(db),
    exports: new ExportRepository(db),
    heartbeats: new HeartbeatRepository(db),
    leases: new LeaseRepository(db),
    ledger: new LedgerRepository(db),
    ledgerAudit: new LedgerAuditRepository(db),
    messages: new MessageRepository(db),
    participation: new ParticipationRepository(db),
    rateLimits: new RateLimitRepository(db),
    searches: new SearchRepository(db),
    sendHistories: new SendHistoryRepository(db),
    sessionChecks: new SessionCheckRepository(db),
    signInFailures: new SignInFailureRepository(db),
    signingKeys: new SigningKeyRepository(db),
    statistics: new StatisticsRepository(db),
    turnBeginnings: new TurnBeginningRepository(db),
    turnContexts: new TurnContextRepository(db, teamPayers),
    turnEndings: new TurnEndingRepository(db),
  }
}

function createForTransaction(db: Kysely<Schema>) {
  return {
    allLinks: new AllLinksRepository(db),
    answers: new AnswerRepository(db),
    apiKeys: new ApiKeyRepository(db),
    auditCheckpoints: new AuditCheckpointRepository(db),
    auditEvents: new AuditEventRepository(db),
    authority: new AuthorityRepository(db),
    branchSources: new BranchSourceRepository(db),
    budgetAlerts: new BudgetAlertRepository(db),
    budgetRequests: new BudgetRequestRepository(db),
    budgets: new BudgetRepository(db),
    conversationChanges: new ConversationChangeRepository(db),
    conversationHeads: new ConversationHeadRepository(db),
    conversationWriter: new ConversationWriterRepository(db),
    dataKeys: new DataKeyRepository(db),
    departures: new DepartureRepository(db),
    erasure: new ErasureRepository(db),
    forgottenTurns: new ForgottenTurnRepository(db),
    formerAccounts: new FormerAccountRepository(db),
    grants: new GrantRepository(db),
    imports: new ImportRepository(db),
    invitations: new InvitationRepository(db),
    links: new LinkRepository(db),
    oauthRecords: new OAuthRecordRepository(db),
    oneTimeLinks: new OneTimeLinkRepository(db),
    ownership: new OwnershipRepository(db),
    recipients: new RecipientRepository(db),
    sessions: new SessionRepository(db),
    snapshots: new SnapshotRepository(db),
    storage: new StorageRepository(db),
    teamBooks: new TeamBookRepository(db),
    teamBudgets: new TeamBudgetRepository(db),
    teamConversations: new TeamConversationRepository(db),
    teamKeys: new TeamKeyRepository(db),
    teamMembers: new TeamMemberRepository(db),
    teamPurses: new TeamPurseRepository(db),
    teams: new TeamRepository(db),
    users: new UserRepository(db),
    webhookDeliveries: new WebhookDeliveryRepository(db),
    webhookEvents: new WebhookEventRepository(db),
    webhooks: new WebhookRepository(db),
  }
}

export function createTransact(db: Kysely<Schema>): Transact<keyof InTransaction> {
  return async (work) => {
    for (let tries = 1; ; tries++) {
      try {
        return await db.transaction().execute((tx) => work(createForTransaction(tx)))
      } catch (error) {
        if (tries === CONFLICT_TRIES || !isConflict(error)) throw error
        await pause(Math.random() * tries * CONFLICT_PAUSE_MS)
      }
    }
  }
}

const CONFLICT_TRIES = 5
const CONFLICT_PAUSE_MS = 20
