import type { Claude } from '../claude/client.ts'
import type { Upstream } from '../claude/pass-through/upstream.ts'
import type { PriceTable } from '../claude/prices/prices.ts'
import { HeavyReads } from '../concurrency/heavy-reads.ts'
import type { Memory } from '../concurrency/memory.ts'
import type { Config } from '../config/config.ts'
import type { Passwords } from '../crypto/passwords.ts'
import { newId } from '../crypto/random.ts'
import type { KeyRing } from '../crypto/sealed.ts'
import type { AccessTokens } from '../crypto/tokens.ts'
import type { Logger } from '../log.ts'
import type { InTransaction, Repositories, Transact } from '../repositories/index.ts'
import type { Telemetry } from '../telemetry.ts'
import { InstallationRoles } from './access/installation-roles.ts'
import { PersonalTokens } from './access/personal-tokens.ts'
import { SessionWatch } from './access/session-watch.ts'
import { SessionService, type UserCounters } from './access/sessions.ts'
import { AccountInvitations } from './accounts/account-invitations.ts'
import { AccountService } from './accounts/accounts.ts'
import { UserAdministration } from './accounts/administration.ts'
import { AccountDeletion } from './accounts/deletion.ts'
import { Departure } from './accounts/departure.ts'
import { ExportService } from './accounts/export.ts'
import { FormerAccounts } from './accounts/former-accounts.ts'
import { PasswordCheck } from './accounts/password-check.ts'
import { PasswordLinks } from './accounts/password-links.ts'
import { KeyLinks } from './api-keys/key-links.ts'
import { KeyRejections } from './api-keys/key-rejections.ts'
import { TeamKeys } from './api-keys/team-keys.ts'
import type { AuditKeys } from './audit/audit-keys.ts'
import { AuditLog } from './audit/audit-log.ts'
import { AuditReading } from './audit/audit-reading.ts'
import { AuditCheckpoints } from './audit/checkpoints.ts'
import { NightlyVerification } from './audit/nightly-verification.ts'
import { AuditVerification } from './audit/verification.ts'
import { BudgetAlerts } from './billing/alerts/budget-alerts.ts'
import { OrphanLimits } from './billing/alerts/orphan-limits.ts'
import { Books } from './billing/books/books.ts'
import { BudgetSettings } from './billing/budget-settings.ts'
import { Budgets } from './billing/budgets.ts'
import { CallService } from './billing/calls.ts'
import { MeteredCalls } from './billing/metered-call.ts'
import { Releases } from './billing/releases.ts'
import { BudgetRequests } from './billing/requests/budget-requests.ts'
import { RequestDecisions } from './billing/requests/decisions.ts'
import { LimitRefusals } from './billing/requests/refusals.ts'
import { RunningCalls } from './billing/running-calls.ts'
import { TeamBudgets } from './billing/teams/team-budgets.ts'
import { TeamPurses } from './billing/teams/team-purses.ts'
import { UsageService } from './billing/usage.ts'
import { Branching, createCopyQueue } from './conversations/branching.ts'
import { ConversationChanges } from './conversations/changes.ts'
import { ConversationDeletion } from './conversations/conversation-deletion.ts'
import { ConversationHeads } from './conversations/conversation-heads.ts'
import { ConversationService } from './conversations/conversations.ts'
import { ConversationExport } from './conversations/exports/conversation-export.ts'
import { OpenExports } from './conversations/exports/open-exports.ts'
import { ConversationOpening } from './conversations/history/conversation-context.ts'
import { HistoryReading } from './conversations/history/history-reading.ts'
import { modelChoices } from './conversations/model-choices.ts'
import { SearchService } from './conversations/search/search.ts'
import { LinkAdministration } from './conversations/sharing/link-administration.ts'
import { LinkCopies } from './conversations/sharing/link-copies.ts'
import { Links } from './conversations/sharing/links.ts'
import { Sharing } from './conversations/sharing/sharing.ts'
import { Snapshots } from './conversations/sharing/snapshots.ts'
import { TeamConversations } from './conversations/sharing/team-conversations.ts'
import { Transfers } from './conversations/sharing/transfers.ts'
import { StorageService } from './conversations/storage.ts'
import { ImportService } from './imports/imports.ts'
import { EncryptionKeys } from './keys/encryption-keys.ts'
import { Rewrapping } from './keys/rewrapping.ts'
import type { SigningKeys } from './keys/signing-keys.ts'
import { Vault } from './keys/vault.ts'
import { HealthService } from './operations/health.ts'
import { LEASE_SECONDS, Maintenance } from './operations/maintenance.ts'
import { MetricsService } from './operations/metrics.ts'
import { MessagesPassThrough } from './pass-through/messages.ts'
import { OpenCalls } from './pass-through/open-calls.ts'
import { PassThrough } from './pass-through/pass-through.ts'
import { Invitations } from './teams/invitations.ts'
import { TeamMembers } from './teams/team-members.ts'
import { Teams } from './teams/teams.ts'
import { AnswerNotices, AnswerSignals, decodeSignal } from './turns/answers/answer-events.ts'
import { AnswerService } from './turns/answers/follow-answer.ts'
import { RunningAnswers } from './turns/answers/running-answers.ts'
import { RunningShares } from './turns/answers/running-shares.ts'
import { TurnEnding } from './turns/finish-turn.ts'
import { Generation } from './turns/generate-answer.ts'
import { IdempotencyService } from './turns/idempotency.ts'
import { LastingEnding } from './turns/lasting-ending.ts'
import { Orphans } from './turns/orphans.ts'
import { EarlySends } from './turns/remembered/early-sends.ts'
import { SendMemory } from './turns/remembered/send-memory.ts'
import { MessageService } from './turns/send-message.ts'
import { TurnBeginning } from './turns/start-turn.ts'
import { EventQueue } from './webhooks/event-queue.ts'
import { type Post, WebhookDeliveries } from './webhooks/webhook-deliveries.ts'
import { Webhooks } from './webhooks/webhooks.ts'

export type Services = ReturnType<typeof createServices>

type Parts = {
  config: Config
  repositories: Repositories
  transact: Transact<keyof InTransaction>
  claude: Claude
  /** For calls that pass through. */
  upstream: Upstream
  /** Sends to the receivers of webhooks. */
  post: Post
  prices: PriceTable
  keyRing: KeyRing
  passwords: Passwords
  tokens: AccessTokens
  signingKeys: SigningKeys
  auditKeys: AuditKeys
  /** Where all replicas count requests by user; null: not in the database. */
  userCounters: UserCounters | null
  database: ConstructorParameters<typeof HealthService>[0]['database']
  memory: Memory
  log: Logger
  telemetry: Telemetry
}

/** Creates the domain services; each gets only the dependencies that it uses. */
export function createServices(parts: Parts) {
  const { config, repositories, transact, claude, prices, keyRing, passwords, tokens, log } = parts
  const { accounts, chat } = config
  const { memory } = parts
  const { publicUrl } = config.http
  const vault = new Vault(keyRing)
  const running = new RunningAnswers()
  const heavyReads = new HeavyReads()
  const { maxStoredBytes } = chat
  const storage = new StorageService({ repositories, transact, limitBytes: maxStoredBytes })
  const replicaId = newId()
  const audit = new AuditLog({ keys: parts.auditKeys })
  const roles = new InstallationRoles(accounts.adminUsernames)
  const auditReading = new AuditReading({ repositories })
  const sessions = new SessionService({
    repositories,
    transact,
    audit,
    tokens,
    userCounters: parts.userCounters,
    sessionSeconds: accounts.sessionSeconds,
    roles,
    log,
  })
  const verification = new AuditVerification({
    events: repositories.auditEvents,
    keys: parts.auditKeys,
  })
  const nightlyVerification = new NightlyVerification({ repositories, verification, log })
  const auditCheckpoints = new AuditCheckpoints({
    repositories,
    transact,
    keys: parts.auditKeys,
    log,
  })
  const budgets = new Budgets({
    defaults: config.budgets.defaults,
    unpricedModels: config.budgets.unpricedModels,
  })
  const budgetAlerts = new BudgetAlerts({ repositories, log })
  const releases = new Releases()
  const meteredCalls = new MeteredCalls(releases)
  const isOnlyProcess = parts.database.kind === 'embedded'
  const notices = new AnswerNotices({ repositories, isOnlyProcess })
  const sendMemory = new SendMemory(chat.rememberedBytes)
  const ending = new TurnEnding({ repositories, prices, notices, memory: sendMemory })
  const purses = new TeamPurses({ repositories, vault, publicUrl })
  const budgetRequests = new BudgetRequests({
    repositories,
    transact,
    audit,
    vault,
    roles,
    budgets,
  })
  const beginning = new TurnBeginning({
    repositories,
    conversations: new ConversationOpening({
      vault,
      defaultModel: chat.defaultModel,
      retiredModels: chat.retiredModels,
    }),
    histories: new HistoryReading({ repositories, heavyReads }),
    prices,
    budgets,
    budgetAlerts,
    refusals: new LimitRefusals({ repositories, budgets, requests: budgetRequests }),
    releases,
    memory: sendMemory,
    replicaId,
    leaseSeconds: LEASE_SECONDS,
    defaultMaxTokens: chat.defaultMaxTokens,
    maxMessagesSent: chat.maxMessagesSent,
    warnHistoryTokens: chat.warnHistoryTokens,
    maxStoredBytes,
  })
  const copies = createCopyQueue()
  const branching = new Branching({ repositories, transact, vault, copies, maxStoredBytes })
  const { links: linksMode, publicLinkMaxDays } = config.sharing
  const { isForTeams } = config.webhooks
  const snapshots = new Snapshots({
    repositories,
    transact,
    audit,
    vault,
    heavyReads,
    mode: linksMode,
  })
  const heads = new ConversationHeads({ repositories, vault })
  const openExports = new OpenExports()
  const signals = new AnswerSignals()
  const watch = new SessionWatch({ sessions })
  const answers = new AnswerService({ repositories, transact, running, signals, watch, vault })
  const orphanLimits = new OrphanLimits({ repositories, budgets })
  const orphans = new Orphans({
    repositories,
    ending,
    limits: orphanLimits,
    vault,
    running,
    log,
  })
  const keyLinks = new KeyLinks({ repositories, transact, publicUrl })
  const keyRejections = new KeyRejections({ transact, audit })
  const openCalls = new OpenCalls()
  const formerAccounts = new FormerAccounts({ vault })
  const runningCalls = new RunningCalls()
  const calls = new CallService({
    repositories,
    budgets,
    budgetAlerts,
    orphanLimits,
    prices,
    meteredCalls,
    releases,
    running: runningCalls,
    replicaId,
    leaseSeconds: LEASE_SECONDS,
    log,
  })
  const passThrough = new PassThrough({
    keyRejections,
    calls,
    upstream: parts.upstream,
    vault,
    purses,
    openCalls,
    publicUrl,
  })
  const departure = new Departure({ repositories, audit, vault })
  const deletion = new AccountDeletion({
    repositories,
    transact,
    audit,
    answers,
    calls,
    formerAccounts,
    departure,
  })
  const invitations = new Invitations({ repositories, transact, audit, publicUrl })
  const passwordCheck = new PasswordCheck({
    repositories,
    transact,
    audit,
    passwords,
    maxFailures: config.limits.signInFailuresPerAccount,
  })
  const passwordLinks = new PasswordLinks({
    repositories,
    transact,
    audit,
    roles,
    passwords,
    passwordCheck,
    publicUrl,
  })
  const accountService = new AccountService({
    repositories,
    transact,
    audit,
    claude,
    passwords,
    passwordCheck,
    deletion,
    formerAccounts,
    sessions,
    vault,
    invitations,
    roles,
    registrationOpen: accounts.registrationOpen,
    validateApiKeys: accounts.validateApiKeys,
  })
  const messages = new MessageService({
    repositories,
    branching,
    beginning,
    ending: new LastingEnding({ ending, log }),
    meteredCalls,
    replays: new IdempotencyService({ repositories, answers }),
    generation: new Generation({ claude, defaultTemperature: chat.defaultTemperature }),
    vault,
    purses,
    keyLinks,
    keyRejections,
    running,
    sessions,
    watch,
    shares: new RunningShares(config.limits.concurrentCallsPerUser),
    telemetry: parts.telemetry,
  })
  return {
    memory,
    running,
    runningCalls,
    notices,
    /** Handles the notifications of other replicas about answers. */
    onSignal(payload: string) {
      const signal = decodeSignal(payload)
      if (signal?.kind === 'finished') signals.wake(signal.answerId)
      if (signal?.kind === 'cancel') running.cancel(signal.answerId)
    },
    answers,
    calls,
    budgetAlerts,
    budgetSettings: new BudgetSettings({ repositories, transact, audit, roles, budgets }),
    books: new Books({ repositories, budgets }),
    budgetRequests,
    requestDecisions: new RequestDecisions({ repositories, transact, audit, roles, budgets }),
    usage: new UsageService({ repositories, heavyReads }),
    sessions,
    signingKeys: parts.signingKeys,
    audit: {
      log: audit,
      reading: auditReading,
      checkpoints: auditCheckpoints,
      verification,
      nightly: nightlyVerification,
    },
    encryptionKeys: new EncryptionKeys({ repositories, keyRing }),
    accounts: accountService,
    departure,
    userAdministration: new UserAdministration({
      repositories,
      transact,
      audit,
      accounts: accountService,
      deletion,
      roles,
      answers,
      calls,
      passwords,
      passwordCheck,
      passwordLinks,
    }),
    passwordLinks,
    accountInvitations: new AccountInvitations({ repositories, transact, audit, roles, publicUrl }),
    personalTokens: new PersonalTokens({ transact, audit }),
    keyLinks,
    keyRejections,
    exports: new ExportService({
      repositories,
      transact,
      audit,
      sessions,
      vault,
      heavyReads,
      memory,
      open: openExports,
      budgetRequests,
      publicUrl,
    }),
    conversationExport: new ConversationExport({
      repositories,
      transact,
      audit,
      heads,
      sessions,
      heavyReads,
      memory,
      open: openExports,
      publicUrl,
    }),
    imports: new ImportService({
      repositories,
      transact,
      audit,
      vault,
      memory,
      maxMib: chat.importMaxMib,
      defaultModel: chat.defaultModel,
      maxStoredBytes,
    }),
    messages,
    earlySends: new EarlySends({
      sessions,
      messages,
      memory: sendMemory,
      userCounters: parts.userCounters,
    }),
    openCalls,
    passThrough,
    messagesApi: new MessagesPassThrough({
      passThrough,
      upstream: parts.upstream,
      calls,
      purses,
      prices,
      watch,
      publicUrl,
    }),
    modelChoices: modelChoices(chat.defaultModel),
    conversationHeads: heads,
    conversations: new ConversationService({ repositories, vault, heavyReads }),
    branching,
    conversationChanges: new ConversationChanges({ transact, vault, maxStoredBytes }),
    conversationDeletion: new ConversationDeletion({
      repositories,
      heads,
      transact,
      audit,
      answers,
    }),
    search: new SearchService({ repositories, vault }),
    sharing: new Sharing({ repositories, transact, audit, vault, answers }),
    links: new Links({
      repositories,
      transact,
      audit,
      vault,
      mode: linksMode,
      publicLinkMaxDays,
      publicUrl,
    }),
    snapshots,
    linkAdministration: new LinkAdministration({ repositories, transact, audit }),
    linkCopies: new LinkCopies({ transact, vault, snapshots, copies, maxStoredBytes }),
    storage,
    teams: new Teams({
      ...{ repositories, transact, audit, auditReading, vault, roles, answers },
      calls: runningCalls,
    }),
    invitations,
    teamBudgets: new TeamBudgets({ repositories, transact, audit }),
    teamKeys: new TeamKeys({
      repositories,
      transact,
      audit,
      claude,
      sessions,
      vault,
      validateApiKeys: accounts.validateApiKeys,
    }),
    teamConversations: new TeamConversations({ repositories, transact, audit, answers }),
    teamMembers: new TeamMembers({ transact, audit, answers, calls: runningCalls }),
    transfers: new Transfers({ transact, audit, maxStoredBytes }),
    webhooks: new Webhooks({ repositories, transact, audit, roles, vault, isForTeams }),
    metrics: new MetricsService({ repositories, encryptionKeyId: keyRing.currentKeyId }),
    health: new HealthService({
      claude,
      database: parts.database,
      proveWrites: () => repositories.heartbeats.beat(replicaId),
    }),
    upkeep: new Maintenance({
      repositories,
      running,
      orphans,
      calls,
      rewrapping: new Rewrapping({ transact, vault }),
      storage,
      transact,
      signingKeys: parts.signingKeys,
      auditCheckpoints,
      nightlyVerification,
      webhookDeliveries: new WebhookDeliveries({
        repositories,
        queue: new EventQueue({ transact, vault, isForTeams }),
        vault,
        post: parts.post,
        isForTeams,
        log,
      }),
      replicaId,
      isOnlyProcess,
      log,
    }),
  }
}
