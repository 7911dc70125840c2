/** Recomputes the audit log every night, in one of the replicas, and tells the log what is wrong. */

import type { Logger } from '../../log.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { AuditReport, AuditVerification } from './verification.ts'

type Deps = {
  repositories: Pick<Repositories, 'auditCheckpoints' | 'rateLimits'>
  verification: AuditVerification
  log: Logger
}

/** A night's work is due from 3:00 UTC on. */
const DUE_AFTER_MS = 3 * 3_600_000
/** Longer than a night's work stays due. */
const CLAIM_MS = 36 * 3_600_000
/** Calls wait while a page is taken apart: it is small. */
const EVENTS_PER_PAGE = 200

export class NightlyVerification {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Verifies every chain if no replica has done so since the last night began, also against the
   * newest checkpoint of the database. One that dies meanwhile has its night left out.
   *
   * @throws AbortError when `signal` aborts, and what the database throws: the night is then still due.
   */
  async runRound(signal: AbortSignal, now = new Date()): Promise<void> {
    const { rateLimits } = this.#deps.repositories
    const night = new Date(now.getTime() - DUE_AFTER_MS).toISOString().slice(0, 10)
    const key = `audit-verification:${night}`
    const { hits } = await rateLimits.take(key, CLAIM_MS)
    if (hits > 1) return
    try {
      this.#tell(await this.#verify(signal))
    } catch (error) {
      await rateLimits.delete(key)
      throw error
    }
  }

  async #verify(signal: AbortSignal): Promise<AuditReport> {
    const { repositories, verification } = this.#deps
    const [newest] = await repositories.auditCheckpoints.list(1)
    const checkpoint = newest?.text
    return verification.run({ checkpoint, signal, eventsPerPage: EVENTS_PER_PAGE })
  }

  #tell({ chains, events, faults, badCheckpoint }: AuditReport): void {
    const { log } = this.#deps
    for (const { chain, seq, kind } of faults) {
      log.error({ chain, seq, fault: kind }, 'the audit log does not verify')
    }
    if (badCheckpoint !== undefined) {
      log.error({ fault: badCheckpoint }, 'the newest checkpoint of the audit log proves nothing')
    }
    if (faults.length === 0) log.info({ chains, events }, 'audit log verified')
  }
}
