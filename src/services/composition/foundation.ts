/** What all services are made of, and what those of every domain share. */

import type { Claude } from '../../claude/client.ts'
import type { Upstream } from '../../claude/pass-through/upstream.ts'
import type { PriceTable } from '../../claude/prices/prices.ts'
import { HeavyReads } from '../../concurrency/heavy-reads.ts'
import type { Memory } from '../../concurrency/memory.ts'
import type { Config } from '../../config/config.ts'
import type { Passwords } from '../../crypto/passwords.ts'
import { newId } from '../../crypto/random.ts'
import type { KeyRing } from '../../crypto/sealed.ts'
import type { AccessTokens } from '../../crypto/tokens.ts'
import type { Logger } from '../../log.ts'
import type { InTransaction, Repositories, Transact } from '../../repositories/index.ts'
import type { Telemetry } from '../../telemetry.ts'
import { InstallationRoles } from '../access/installation-roles.ts'
import { SessionWatch } from '../access/session-watch.ts'
import { SessionService, type UserCounters } from '../access/sessions.ts'
import type { AuditKeys } from '../audit/audit-keys.ts'
import { AuditLog } from '../audit/audit-log.ts'
import { OpenExports } from '../conversations/exports/open-exports.ts'
import type { SigningKeys } from '../keys/signing-keys.ts'
import { Vault } from '../keys/vault.ts'
import type { HealthService } from '../operations/health.ts'
import type { Post } from '../webhooks/webhook-deliveries.ts'

export type Parts = {
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

export type Foundation = ReturnType<typeof createFoundation>

/** What services of several domains use. */
export function createFoundation(parts: Parts) {
  const { config, repositories, transact, auditKeys, tokens, userCounters, log } = parts
  const { adminUsernames, sessionSeconds } = config.accounts
  const audit = new AuditLog({ keys: auditKeys })
  const roles = new InstallationRoles(adminUsernames)
  const sessions = new SessionService({
    ...{ repositories, transact, audit, tokens, userCounters, sessionSeconds, roles, log },
  })
  return {
    ...parts,
    publicUrl: config.http.publicUrl,
    replicaId: newId(),
    isOnlyProcess: parts.database.kind === 'embedded',
    vault: new Vault(parts.keyRing),
    heavyReads: new HeavyReads(),
    openExports: new OpenExports(),
    audit,
    roles,
    sessions,
    watch: new SessionWatch({ sessions }),
  }
}
