/** What has to happen from time to time: leases renewed, orphans closed, old rows deleted. */

import type { Logger } from '../log.ts'
import type { Repositories } from '../repositories/index.ts'
import type { RunningAnswers } from './running-answers.ts'

type Deps = {
  repositories: Pick<Repositories, 'leases' | 'rateLimits' | 'sessions' | 'signInFailures'>
  running: RunningAnswers
  replicaId: string
  /** True for the embedded database: whatever runs at the start has nobody left to finish it. */
  isOnlyProcess: boolean
  log: Logger
}

/** A dead process is noticed after this long at the latest, plus one round of {@link ROUND_MS}. */
export const LEASE_SECONDS = 15
const ROUND_MS = 5000
const ROUNDS_PER_CLEANING = 12

export class Upkeep {
  readonly #deps: Deps
  #timer: NodeJS.Timeout | undefined
  #round = 0
  #current: Promise<void> = Promise.resolve()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Closes what an earlier process left behind, then goes on until {@link stop}. */
  async start(): Promise<void> {
    await this.#closeOrphans(this.#deps.isOnlyProcess ? 'all' : 'expired')
    this.#timer = setInterval(() => {
      this.#current = this.#runRound()
    }, ROUND_MS)
    this.#timer.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#current
  }

  /** A round that fails (the database is away) is only logged: the next one does its work. */
  async #runRound(): Promise<void> {
    this.#round += 1
    try {
      await this.#renew()
      await this.#closeOrphans('expired')
      if (this.#round % ROUNDS_PER_CLEANING === 0) await this.#clean()
    } catch (err) {
      this.#deps.log.warn({ err }, 'upkeep failed, will try again')
    }
  }

  async #renew(): Promise<void> {
    const { ids } = this.#deps.running
    if (ids.length === 0) return
    await this.#deps.repositories.leases.renew(this.#deps.replicaId, ids, LEASE_SECONDS)
  }

  /** Also this process's own, where the end of an answer could not be written. */
  async #closeOrphans(which: 'expired' | 'all'): Promise<void> {
    const { repositories, running, log } = this.#deps
    const closed = await repositories.leases.closeOrphans(running.ids, which)
    if (closed.length > 0) log.warn({ answers: closed.length }, 'closed answers left unfinished')
  }

  async #clean(): Promise<void> {
    const { rateLimits, sessions, signInFailures } = this.#deps.repositories
    await rateLimits.deleteExpired()
    await sessions.deleteEnded()
    await signInFailures.deleteOld()
  }
}
