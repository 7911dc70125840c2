import type { Claude } from '../claude/client.ts'
import type { PriceTable } from '../claude/prices/prices.ts'
import { HeavyReads } from '../concurrency/heavy-reads.ts'
import type { Memory } from '../concurrency/memory.ts'
import type { Config } from '../config/config.ts'
import type { Passwords } from '../crypto/passwords.ts'
import { newId } from '../crypto/random.ts'
import type { KeyRing } from '../crypto/sealed.ts'
import type { AccessTokens } from '../crypto/tokens.ts'
import type { Logger } from '../log.ts'
import type { UserCounter } from '../repositories/access/session-checks.ts'
import type { Repositories, Transact } from '../repositories/index.ts'
import type { Telemetry } from '../telemetry.ts'
import { PersonalTokens } from './access/personal-tokens.ts'
import { SessionWatch } from './access/session-watch.ts'
import { SessionService } from './access/sessions.ts'
import { AccountService } from './accounts/accounts.ts'
import { UserAdministration } from './accounts/administration.ts'
import { AccountDeletion } from './accounts/deletion.ts'
import { ExportService } from './accounts/export.ts'
import { FormerAccounts } from './accounts/former-accounts.ts'
import { PasswordCheck } from './accounts/password-check.ts'
import { KeyLinks } from './api-keys/key-links.ts'
import { BudgetSettings } from './billing/budget-settings.ts'
import { Budgets } from './billing/budgets.ts'
import { UsageService } from './billing/usage.ts'
import { ConversationOpening } from './conversations/conversation-context.ts'
import { ConversationService } from './conversations/conversations.ts'
import { HistoryReading } from './conversations/history-reading.ts'
import { StorageService } from './conversations/storage.ts'
import { EncryptionKeys } from './keys/encryption-keys.ts'
import { Rewrapping } from './keys/rewrapping.ts'
import type { SigningKeys } from './keys/signing-keys.ts'
import { Vault } from './keys/vault.ts'
import { HealthService } from './operations/health.ts'
import { LEASE_SECONDS, Maintenance } from './operations/maintenance.ts'
import { MetricsService } from './operations/metrics.ts'
import { AnswerNotices, AnswerSignals, decodeSignal } from './turns/answer-events.ts'
import { TurnEnding } from './turns/finish-turn.ts'
import { AnswerService } from './turns/follow-answer.ts'
import { Generation } from './turns/generate-answer.ts'
import { IdempotencyService } from './turns/idempotency.ts'
import { LastingEnding } from './turns/lasting-ending.ts'
import { Orphans } from './turns/orphans.ts'
import { RunningAnswers } from './turns/running-answers.ts'
import { RunningShares } from './turns/running-shares.ts'
import { MessageService } from './turns/send-message.ts'
import { TurnBeginning } from './turns/start-turn.ts'

export type Services = ReturnType<typeof createServices>

type Parts = {
  config: Config
  repositories: Repositories
  transact: Transact
  claude: Claude
  prices: PriceTable
  keyRing: KeyRing
  passwords: Passwords
  tokens: AccessTokens
  signingKeys: SigningKeys
  /** Where all replicas count requests by user; null: not in the database. */
  userCounter: UserCounter | null
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
  const sessions = new SessionService({
    repositories,
    transact,
    tokens,
    userCounter: parts.userCounter,
    sessionSeconds: accounts.sessionSeconds,
    adminUsernames: accounts.adminUsernames,
    log,
  })
  const budgets = new Budgets({
    defaults: config.budgets.defaults,
    unpricedModels: config.budgets.unpricedModels,
  })
  const isOnlyProcess = parts.database.kind === 'embedded'
  const notices = new AnswerNotices({ repositories, isOnlyProcess })
  const ending = new TurnEnding({ repositories, prices, notices })
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
    replicaId,
    leaseSeconds: LEASE_SECONDS,
    defaultMaxTokens: chat.defaultMaxTokens,
    maxMessagesSent: chat.maxMessagesSent,
    maxStoredBytes,
  })
  const signals = new AnswerSignals()
  const watch = new SessionWatch({ sessions })
  const answers = new AnswerService({ repositories, transact, running, signals, watch, vault })
  const orphans = new Orphans({ repositories, ending, vault, running, log })
  const keyLinks = new KeyLinks({ repositories, transact, publicUrl })
  const formerAccounts = new FormerAccounts({ vault })
  const deletion = new AccountDeletion({ repositories, transact, answers, formerAccounts })
  const passwordCheck = new PasswordCheck({
    repositories,
    passwords,
    maxFailures: config.limits.signInFailuresPerAccount,
  })
  const accountService = new AccountService({
    repositories,
    transact,
    claude,
    passwords,
    passwordCheck,
    deletion,
    formerAccounts,
    sessions,
    vault,
    registrationOpen: accounts.registrationOpen,
    validateApiKeys: accounts.validateApiKeys,
  })
  return {
    memory,
    running,
    notices,
    /** Handles the notifications of other replicas about answers. */
    onSignal(payload: string) {
      const signal = decodeSignal(payload)
      if (signal?.kind === 'finished') signals.wake(signal.answerId)
      if (signal?.kind === 'cancel') running.cancel(signal.answerId)
    },
    answers,
    budgetSettings: new BudgetSettings({ repositories, transact, budgets }),
    usage: new UsageService({ repositories, heavyReads }),
    sessions,
    signingKeys: parts.signingKeys,
    encryptionKeys: new EncryptionKeys({ repositories, keyRing }),
    accounts: accountService,
    userAdministration: new UserAdministration({
      repositories,
      transact,
      accounts: accountService,
      deletion,
      passwords,
      passwordCheck,
      adminUsernames: accounts.adminUsernames,
    }),
    personalTokens: new PersonalTokens({ transact }),
    keyLinks,
    exports: new ExportService({ repositories, sessions, vault, heavyReads, memory, publicUrl }),
    messages: new MessageService({
      repositories,
      beginning,
      ending: new LastingEnding({ ending, log }),
      replays: new IdempotencyService({ repositories, answers }),
      generation: new Generation({ claude, defaultTemperature: chat.defaultTemperature }),
      vault,
      keyLinks,
      running,
      sessions,
      watch,
      shares: new RunningShares(config.limits.concurrentCallsPerUser),
      telemetry: parts.telemetry,
    }),
    conversations: new ConversationService({ repositories, vault, heavyReads }),
    storage,
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
      rewrapping: new Rewrapping({ transact, vault }),
      storage,
      transact,
      signingKeys: parts.signingKeys,
      replicaId,
      isOnlyProcess,
      log,
    }),
  }
}
