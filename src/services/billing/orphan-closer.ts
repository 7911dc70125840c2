/**
 * Closes orphans: calls whose process died or could not write their end. Afterwards nothing of them
 * stays running or reserved.
 */

import { AppError, isDatabaseGone } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { WhichOrphans } from '../../repositories/turns/leases.ts'

type Orphan = { id: string; userId: string }

type Deps<One extends Orphan> = {
  /** The next ones, without those in hand. */
  list(inHand: readonly string[], which: WhichOrphans): Promise<One[]>
  /** Ids of the calls that this process runs. */
  inHand(): readonly string[]
  /** @throws AppError interrupted when another process has closed it. */
  close(orphan: One): Promise<void>
  log: Logger
  /** For the log: `an answer`, whose id is logged as `answerId`. */
  noun: { one: string; idName: string }
}

/** Calls end in shared statements, each of which holds one call per user (reservation-sql.ts). */
const USERS_AT_ONCE = 32
/** Pause before the retry of one that cannot be closed (its key is missing, for example). */
const TRY_AGAIN_MS = 60_000
/** Pause when the database refused for now: a row is locked, or it is away. */
const TRY_LATER_MS = 5_000

export class OrphanCloser<One extends Orphan> {
  readonly #deps: Deps<One>
  /** When to retry those that could not be closed, by id. */
  readonly #broken = new Map<string, number>()

  constructor(deps: Deps<One>) {
    this.#deps = deps
  }

  /**
   * One that cannot be closed is logged and does not block the others.
   *
   * @param signal ends the work early.
   * @returns how many this process closed; concurrent attempts close each call once.
   * @throws AppError database_unavailable when none can be closed any more.
   */
  async close(which: WhichOrphans, signal?: AbortSignal): Promise<number> {
    let closed = 0
    while (!signal?.aborted) {
      const inHand = [...this.#deps.inHand(), ...this.#brokenIds()]
      const orphans = await this.#deps.list(inHand, which)
      if (orphans.length === 0) break
      closed += await this.#closeAll(orphans, signal)
    }
    return closed
  }

  /** Closes the calls of one user in sequence: in parallel they would wait for the same locks. */
  async #closeAll(orphans: readonly One[], signal?: AbortSignal): Promise<number> {
    const queues = byUser(orphans)
    let closed = 0
    const lane = async () => {
      for (let queue = queues.pop(); queue; queue = queues.pop()) {
        for (const orphan of queue) {
          if (signal?.aborted) return
          if (await this.#closeOne(orphan)) closed += 1
        }
      }
    }
    const lanes = Array.from({ length: USERS_AT_ONCE }, lane)
    const failed = (await Promise.allSettled(lanes)).find(({ status }) => status === 'rejected')
    if (failed && closed === 0) throw (failed as PromiseRejectedResult).reason
    return closed
  }

  #brokenIds(): string[] {
    for (const [id, tryAt] of this.#broken) {
      if (tryAt <= performance.now()) this.#broken.delete(id)
    }
    return [...this.#broken.keys()]
  }

  async #closeOne(orphan: One): Promise<boolean> {
    const { log, noun } = this.#deps
    try {
      await this.#deps.close(orphan)
      return true
    } catch (error) {
      if (error instanceof AppError && error.code === 'interrupted') return false
      const isLater = isDatabaseGone(error)
      this.#broken.set(orphan.id, performance.now() + (isLater ? TRY_LATER_MS : TRY_AGAIN_MS))
      if (isLater) throw error
      log.error({ err: error, [noun.idName]: orphan.id }, `${noun.one} cannot be closed`)
      return false
    }
  }
}

function byUser<One extends Orphan>(orphans: readonly One[]): One[][] {
  const queues = new Map<string, One[]>()
  for (const orphan of orphans) {
    const queue = queues.get(orphan.userId)
    if (queue) queue.push(orphan)
    else queues.set(orphan.userId, [orphan])
  }
  return [...queues.values()]
}
