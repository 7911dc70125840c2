/** Signed checkpoints of the audit log. A copy outside of the database is what makes them evidence. */

import { newId } from '../../crypto/random.ts'
import type { Logger } from '../../log.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import type { AuditKeys } from './audit-keys.ts'
import { toCheckpoint } from './checkpoint-note.ts'

type Deps = {
  repositories: Pick<Repositories, 'auditCheckpoints'>
  transact: Transact<'auditCheckpoints' | 'auditEvents'>
  keys: Pick<AuditKeys, 'current'>
  log: Logger
}

const EVERY_SECONDS = 3600
/** How often to look whether one is due. */
const LOOK_AGAIN_MS = 60_000

export class AuditCheckpoints {
  readonly #deps: Deps
  #nextLookAt = 0

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Makes the hourly one if none of the replicas has made it, and writes it to the log. */
  async runRound(): Promise<void> {
    if (performance.now() < this.#nextLookAt) return
    this.#nextLookAt = performance.now() + LOOK_AGAIN_MS
    if (await this.#deps.repositories.auditCheckpoints.isDue(EVERY_SECONDS)) await this.#make(true)
  }

  /** Makes one now. @returns its signed text. */
  async make(): Promise<string> {
    const text = await this.#make(false)
    if (text === undefined) throw new Error('no checkpoint was made')
    return text
  }

  /** The newest ones. */
  async list(limit: number) {
    return this.#deps.repositories.auditCheckpoints.list(limit)
  }

  async #make(onlyIfDue: boolean): Promise<string | undefined> {
    const text = await this.#deps.transact(async ({ auditCheckpoints, auditEvents }) => {
      await auditCheckpoints.lock()
      if (onlyIfDue && !(await auditCheckpoints.isDue(EVERY_SECONDS))) return undefined
      const heads = await auditEvents.listHeads()
      if (onlyIfDue && heads.length === 0) return undefined
      const note = toCheckpoint(heads, this.#deps.keys.current)
      await auditCheckpoints.insert(note)
      const told = { event: 'audit.checkpoint', teamId: null, data: { checkpoint: note } }
      await auditEvents.tell({ id: newId(), ...told })
      return note
    })
    if (text !== undefined) this.#deps.log.info({ checkpoint: text }, 'audit checkpoint')
    return text
  }
}
