import { AuditReading } from '../audit/audit-reading.ts'
import { AuditCheckpoints } from '../audit/checkpoints.ts'
import { NightlyVerification } from '../audit/nightly-verification.ts'
import { AuditVerification } from '../audit/verification.ts'
import type { Foundation } from './foundation.ts'

/** The audit log: written, read, checked and signed. */
export function createAudit({ repositories, transact, auditKeys: keys, audit, log }: Foundation) {
  const verification = new AuditVerification({ events: repositories.auditEvents, keys })
  return {
    log: audit,
    reading: new AuditReading({ repositories }),
    checkpoints: new AuditCheckpoints({ repositories, transact, keys, log }),
    verification,
    nightly: new NightlyVerification({ repositories, verification, log }),
  }
}
