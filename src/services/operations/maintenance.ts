/** What has to happen from time to time: leases renewed, orphans closed, keys read, old rows deleted. */

import { isDatabaseGone } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import type { WhichOrphans } from '../../repositories/turns/leases.ts'
import type { StorageService } from '../conversations/storage.ts'
import type { Rewrapping } from '../keys/rewrapping.ts'
import type { SigningKeys } from '../keys/signing-keys.ts'
import type { Orphans } from '../turns/orphans.ts'
import type { RunningAnswers } from '../turns/running-answers.ts'
import { LeaseWatch } from './lease-watch.ts'
import { Rounds } from './rounds.ts'

type Deps = {
  repositories: Pick<
    Repositories,
    | 'formerAccounts'
    | 'heartbeats'
    | 'leases'
    | 'oauthRecords'
    | 'oneTimeLinks'
    | 'rateLimits'
    | 'sessions'
    | 'signInFailures'
  >
  running: RunningAnswers
  orphans: Orphans
  rewrapping: Rewrapping
  storage: Pick<StorageService, 'countOlder'>
  transact: Transact
  signingKeys: SigningKeys
  replicaId: string
  /** True for the embedded database: whatever runs at the start has nobody left to finish it. */
  isOnlyProcess: boolean
  log: Logger
}

/** Without a renewal for so long, an answer's process is taken for dead. */
export const LEASE_SECONDS = 12
/** Also how often the text of running answers is saved at most. */
const ROUND_MS = 2000
const ROUNDS_PER_CLEANING = 30
const ROUNDS_PER_SESSION_COUNT = 30 * 30
const MOST_PASSES = 20
/** Of one user and one kind: sign-ins, browsers, connections. */
const MOST_SESSIONS = 1000
/** Of the authorization server, for people who have not signed in. */
const MOST_ANONYMOUS_RECORDS = 20_000

export class Maintenance {
  readonly #deps: Deps
  readonly #rounds = new Rounds(ROUND_MS, () => this.#runRound())
  /** Apart from the rounds: whoever closes a thousand answers must go on renewing its own leases. */
  readonly #searches = new Rounds(ROUND_MS, (signal) => this.#search(signal))
  #round = 0
  /** Whether there may be users whose storage is not added up yet. */
  #isCounting = true
  readonly #watch = new LeaseWatch(LEASE_SECONDS)

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Closes what an earlier process left behind, then goes on until {@link stop}. */
  async start(): Promise<void> {
    if (this.#deps.isOnlyProcess) await this.#closeOrphans('all')
    this.#rounds.start()
    this.#searches.start()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#rounds.stop(), this.#searches.stop()])
  }

  /** A round that fails (the database is away) is only logged: the next one does its work. */
  async #runRound(): Promise<void> {
    this.#round += 1
    try {
      await this.#keepRunning()
      await this.#reloadKeys()
      await this.#rewrap()
      if (this.#isCounting) this.#isCounting = (await this.#deps.storage.countOlder()) > 0
      if (this.#round % ROUNDS_PER_CLEANING === 0) await this.#clean()
    } catch (err) {
      this.#noteTrouble(err)
    }
  }

  #search(signal: AbortSignal): Promise<void> {
    return this.#closeExpired(signal).catch((err: unknown) => this.#noteTrouble(err))
  }

  #noteTrouble(err: unknown): void {
    this.#watch.forgetAll()
    this.#deps.log.warn({ err }, 'upkeep failed, will try again')
  }

  async #keepRunning(): Promise<void> {
    const { running, replicaId, repositories } = this.#deps
    const { ids } = running
    if (ids.length === 0) return
    const cancelled = await repositories.leases.renew(replicaId, ids, LEASE_SECONDS)
    for (const id of cancelled) running.cancel(id)
    for (const checkpoints of running.takeCheckpoints()) {
      await repositories.leases.saveCheckpoints(replicaId, checkpoints)
    }
  }

  /**
   * What could not be renewed was not given up: no look counts in which the database could not be
   * written to, or the answer's row was locked.
   */
  async #closeExpired(signal: AbortSignal): Promise<void> {
    const { repositories, replicaId } = this.#deps
    await repositories.heartbeats.beat(replicaId)
    const ids = this.#watch.look(await repositories.leases.listRunning())
    if (ids.length === 0) return
    const among = await repositories.leases.listUnlocked(ids)
    const unlocked = new Set(among)
    this.#watch.forget(ids.filter((id) => !unlocked.has(id)))
    if (among.length > 0) await this.#closeOrphans({ among }, signal)
  }

  async #closeOrphans(which: WhichOrphans, signal?: AbortSignal): Promise<void> {
    const closed = await this.#deps.orphans.close(which, signal)
    if (closed > 0) this.#deps.log.warn({ answers: closed }, 'closed answers of a dead process')
  }

  /** A key that does not open must not keep the rest of the upkeep from its work. */
  async #reloadKeys(): Promise<void> {
    await this.#deps.signingKeys.runRound().catch((err: unknown) => {
      if (isDatabaseGone(err)) throw err
      this.#deps.log.error({ err }, 'signing keys could not be read')
    })
  }

  async #rewrap(): Promise<void> {
    const { rewrapping, log } = this.#deps
    const moved = await rewrapping.runRound().catch((err: unknown) => {
      log.error({ err }, 'data keys could not be moved under the current key')
      return 0
    })
    if (moved > 0) log.info({ keys: moved }, 'moved data keys under the current key')
  }

  async #clean(): Promise<void> {
    const { heartbeats, rateLimits, sessions, signInFailures, oneTimeLinks, oauthRecords } =
      this.#deps.repositories
    await heartbeats.deleteOld()
    await rateLimits.deleteExpired()
    await oneTimeLinks.deleteExpired()
    await oauthRecords.deleteExpired()
    await oauthRecords.deleteExcess(MOST_ANONYMOUS_RECORDS)
    await sessions.deleteEnded()
    if (this.#round % ROUNDS_PER_SESSION_COUNT === 0) await sessions.endExcess(MOST_SESSIONS)
    await signInFailures.deleteOld()
    await this.#deps.repositories.formerAccounts.deleteOver()
    await this.#deleteForgotten()
    this.#isCounting = true
  }

  /** Some at a time: they may have been made quickly. */
  async #deleteForgotten(): Promise<void> {
    for (let pass = 0; pass < MOST_PASSES; pass++) {
      const deleted = await this.#deps.transact((tx) => tx.forgottenTurns.deleteOld())
      if (deleted === 0) return
    }
  }
}
