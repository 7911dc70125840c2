/** Periodic work: renews leases, closes orphans, reloads keys, deletes old rows. */

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
  /** True for the embedded database: every answer that is running at the start is an orphan. */
  isOnlyProcess: boolean
  log: Logger
}

/** A process that has not renewed a lease for this long counts as dead. */
export const LEASE_SECONDS = 12
/** Also the shortest interval between two checkpoints of a running answer's text. */
const ROUND_MS = 2000
const ROUNDS_PER_CLEANING = 30
const ROUNDS_PER_SESSION_COUNT = 30 * 30
const MOST_PASSES = 20
/** Per user and kind: sign-ins, browsers, connections. */
const MOST_SESSIONS = 1000
/** Records of the authorization server for people who have not signed in. */
const MOST_ANONYMOUS_RECORDS = 20_000

export class Maintenance {
  readonly #deps: Deps
  readonly #rounds = new Rounds(ROUND_MS, () => this.#runRound())
  /** Apart from the rounds, so that closing many orphans does not delay the renewal of leases. */
  readonly #searches = new Rounds(ROUND_MS, (signal) => this.#search(signal))
  #round = 0
  /** Whether there may be users whose storage is not added up yet. */
  #isCounting = true
  readonly #watch = new LeaseWatch(LEASE_SECONDS)

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Closes the orphans of an earlier process, then runs until {@link stop}. */
  async start(): Promise<void> {
    if (this.#deps.isOnlyProcess) await this.#closeOrphans('all')
    this.#rounds.start()
    this.#searches.start()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#rounds.stop(), this.#searches.stop()])
  }

  /** A failed round (the database is away) is only logged: the next one catches up. */
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
   * An answer that could not be renewed is not an orphan: its watch restarts whenever the database
   * cannot be written to or the answer's row is locked.
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

  /** A key that does not open must not stop the rest of the maintenance. */
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

  /** In batches: there may be many. */
  async #deleteForgotten(): Promise<void> {
    for (let pass = 0; pass < MOST_PASSES; pass++) {
      const deleted = await this.#deps.transact((tx) => tx.forgottenTurns.deleteOld())
      if (deleted === 0) return
    }
  }
}
