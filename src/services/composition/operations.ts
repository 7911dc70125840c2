import type { CallService } from '../billing/calls.ts'
import type { StorageService } from '../conversations/storage.ts'
import { EncryptionKeys } from '../keys/encryption-keys.ts'
import { Rewrapping } from '../keys/rewrapping.ts'
import { HealthService } from '../operations/health.ts'
import { Maintenance } from '../operations/maintenance.ts'
import { MetricsService } from '../operations/metrics.ts'
import type { RunningAnswers } from '../turns/answers/running-answers.ts'
import type { Orphans } from '../turns/orphans.ts'
import { EventQueue } from '../webhooks/event-queue.ts'
import { WebhookDeliveries } from '../webhooks/webhook-deliveries.ts'
import type { createAudit } from './audit.ts'
import type { Foundation } from './foundation.ts'

type Needed = {
  audit: ReturnType<typeof createAudit>
  running: RunningAnswers
  orphans: Orphans
  calls: CallService
  storage: StorageService
}

/** What the operator looks at, and what the process does on its own. */
export function createOperations(foundation: Foundation, { audit, ...needed }: Needed) {
  const { config, repositories, transact, claude, keyRing, signingKeys, vault } = foundation
  const { database, post, replicaId, isOnlyProcess, log } = foundation
  const { isForTeams } = config.webhooks
  const queue = new EventQueue({ transact, vault, isForTeams })
  return {
    signingKeys,
    encryptionKeys: new EncryptionKeys({ repositories, keyRing }),
    metrics: new MetricsService({ repositories, encryptionKeyId: keyRing.currentKeyId }),
    health: new HealthService({
      claude,
      database,
      proveWrites: () => repositories.heartbeats.beat(replicaId),
    }),
    upkeep: new Maintenance({
      ...needed,
      ...{ repositories, transact, signingKeys, replicaId, isOnlyProcess, log },
      rewrapping: new Rewrapping({ transact, vault }),
      auditCheckpoints: audit.checkpoints,
      nightlyVerification: audit.nightly,
      webhookDeliveries: new WebhookDeliveries({
        ...{ repositories, queue, vault, post, isForTeams, log },
      }),
    }),
  }
}
