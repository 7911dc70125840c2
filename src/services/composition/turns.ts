import { ConversationOpening } from '../conversations/history/conversation-context.ts'
import { HistoryReading } from '../conversations/history/history-reading.ts'
import { LEASE_SECONDS } from '../operations/maintenance.ts'
import { RunningShares } from '../turns/answers/running-shares.ts'
import { TurnEnding } from '../turns/finish-turn.ts'
import { Generation } from '../turns/generate-answer.ts'
import { IdempotencyService } from '../turns/idempotency.ts'
import { LastingEnding } from '../turns/lasting-ending.ts'
import { Orphans } from '../turns/orphans.ts'
import { EarlySends } from '../turns/remembered/early-sends.ts'
import { SendMemory } from '../turns/remembered/send-memory.ts'
import { MessageService } from '../turns/send-message.ts'
import { TurnBeginning } from '../turns/start-turn.ts'
import type { Answers } from './answers.ts'
import type { ApiKeys } from './api-keys.ts'
import type { Billing } from './billing.ts'
import type { Conversations } from './conversations.ts'
import type { Foundation } from './foundation.ts'

type Needed = {
  billing: Billing
  apiKeys: ApiKeys
  answers: Answers
  branching: Conversations['branching']
}

/** What sends messages. `services`: what others than services use. */
export function createTurns(
  foundation: Foundation,
  { billing, apiKeys, answers, branching }: Needed,
) {
  const { config, repositories, claude, prices, vault, sessions, watch } = foundation
  const { userCounters, telemetry, log } = foundation
  const { defaultTemperature, rememberedBytes } = config.chat
  const { keyLinks, keyRejections } = apiKeys
  const { meteredCalls, orphanLimits, purses } = billing
  const { running, notices } = answers
  const memory = new SendMemory(rememberedBytes)
  const ending = new TurnEnding({ repositories, prices, notices, memory })
  const messages = new MessageService({
    ...{ repositories, branching, meteredCalls, vault, purses, keyLinks, keyRejections },
    ...{ running, sessions, watch, telemetry },
    beginning: createBeginning(foundation, billing, memory),
    ending: new LastingEnding({ ending, log }),
    replays: new IdempotencyService({ repositories, answers: answers.answers }),
    generation: new Generation({ claude, defaultTemperature }),
    shares: new RunningShares(config.limits.concurrentCallsPerUser),
  })
  return {
    services: {
      messages,
      earlySends: new EarlySends({ sessions, messages, memory, userCounters }),
    },
    orphans: new Orphans({ repositories, ending, limits: orphanLimits, vault, running, log }),
  }
}

function createBeginning(foundation: Foundation, billing: Billing, memory: SendMemory) {
  const { config, repositories, prices, vault, heavyReads, replicaId } = foundation
  const { budgets, budgetAlerts, refusals, releases } = billing
  const { defaultModel, retiredModels, defaultMaxTokens, maxMessagesSent } = config.chat
  const { warnHistoryTokens, maxStoredBytes } = config.chat
  return new TurnBeginning({
    ...{ repositories, prices, budgets, budgetAlerts, refusals, releases, memory, replicaId },
    ...{ defaultMaxTokens, maxMessagesSent, warnHistoryTokens, maxStoredBytes },
    conversations: new ConversationOpening({ vault, defaultModel, retiredModels }),
    histories: new HistoryReading({ repositories, heavyReads }),
    leaseSeconds: LEASE_SECONDS,
  })
}
