/** Periodic work: renews leases, closes orphans, reloads keys, deletes old rows. */

import { isDatabaseGone } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import type { WhichOrphans } from '../../repositories/turns/leases.ts'
import type { AuditCheckpoints } from '../audit/checkpoints.ts'
import type { NightlyVerification } from '../audit/nightly-verification.ts'
import type { CallService } from '../billing/calls.ts'
import type { StorageService } from '../conversations/storage.ts'
import type { Rewrapping } from '../keys/rewrapping.ts'
import type { SigningKeys } from '../keys/signing-keys.ts'
import type { RunningAnswers } from '../turns/answers/running-answers.ts'
import type { Orphans } from '../turns/orphans.ts'
import type { WebhookDeliveries } from '../webhooks/webhook-deliveries.ts'
import { LeaseWatch } from './lease-watch.ts'
import { Rounds } from './rounds.ts'
import { TroubleLog } from './trouble-log.ts'

type Deps = {
  repositories: Pick<
    Repositories,
    | 'calls'
    | 'formerAccounts'
    | 'heartbeats'
    | 'invitations'
    | 'leases'
    | 'oauthRecords'
    | 'oneTimeLinks'
    | 'rateLimits'
    | 'sessions'
    | 'signInFailures'
  >
  running: RunningAnswers
  orphans: Orphans
  calls: Pick<CallService, 'renewLeases' | 'closeOrphans'>
  rewrapping: Rewrapping
  storage: Pick<StorageService, 'countOlder'>
  transact: Transact<'forgottenTurns'>
  signingKeys: SigningKeys
  auditCheckpoints: Pick<AuditCheckpoints, 'runRound'>
  nightlyVerification: Pick<NightlyVerification, 'runRound'>
  webhookDeliveries: Pick<WebhookDeliveries, 'runRound'>
  replicaId: string
  /** True for the embedded database: every answer that is running at the start is an orphan. */
  isOnlyProcess: boolean
  log: Logger
}

/** What is kept by leases: answers of conversations, and calls without one. */
type Leased = {
  /** As the log names them. */
  kind: 'answers' | 'calls'
  leases: Pick<Repositories['leases'], 'listRunning' | 'listUnlocked'>
  close(which: WhichOrphans, signal?: AbortSignal): Promise<number>
  watch: LeaseWatch
}

/** A process that has not renewed a lease for this long counts as dead. */
export const LEASE_SECONDS = 12
/** Also the shortest interval between two checkpoints of a running answer's text. */
const ROUND_MS = 2000
const ROUNDS_PER_CLEANING = 30
/** How often to look whether a night's verification is due. */
const VERIFICATION_MS = 10 * 60_000
const ROUNDS_PER_SESSION_COUNT = 30 * 30
const MOST_PASSES = 20
/** Per user and kind: sign-ins, browsers, connections. */
const MOST_SESSIONS = 1000
/** Records of the authorization server for people who have not signed in. */
const MOST_ANONYMOUS_RECORDS = 20_000

export class Maintenance {
  readonly #deps: Deps
  readonly #trouble: TroubleLog
  readonly #rounds = new Rounds(ROUND_MS, () => this.#runRound())
  /** Apart from the rounds, so that closing many orphans does not delay the renewal of leases. */
  readonly #searches = new Rounds(ROUND_MS, (signal) => this.#search(signal))
  /** Apart from both: receivers may be slow. */
  readonly #deliveries = new Rounds(ROUND_MS, (signal) =>
    this.#deps.webhookDeliveries.runRound(signal),
  )
  /** Apart too: a long audit log takes minutes. */
  readonly #verifications = new Rounds(VERIFICATION_MS, (signal) => this.#verify(signal))
  #round = 0
  /** Whether there may be users whose storage is not added up yet. */
  #isCounting = true
  readonly #leased: readonly Leased[]

  constructor(deps: Deps) {
    const { repositories, orphans, calls } = deps
    this.#deps = deps
    this.#trouble = new TroubleLog((err) => deps.log.warn({ err }, 'upkeep failed, will try again'))
    this.#leased = [
      {
        kind: 'answers',
        leases: repositories.leases,
        close: (which, signal) => orphans.close(which, signal),
        watch: new LeaseWatch(LEASE_SECONDS),
      },
      {
        kind: 'calls',
        leases: repositories.calls,
        close: (which, signal) => calls.closeOrphans(which, signal),
        watch: new LeaseWatch(LEASE_SECONDS),
      },
    ]
  }

  /** Closes the orphans of an earlier process, then runs until {@link stop}. */
  async start(): Promise<void> {
    if (this.#deps.isOnlyProcess) {
      for (const leased of this.#leased) await this.#closeOrphans(leased, 'all')
    }
    this.#rounds.start()
    this.#searches.start()
    this.#deliveries.start()
    this.#verifications.start()
  }

  async stop(): Promise<void> {
    const all = [this.#rounds, this.#searches, this.#deliveries, this.#verifications]
    await Promise.all(all.map((rounds) => rounds.stop()))
  }

  /** A failed round (the database is away) is only logged: the next one catches up. */
  async #runRound(): Promise<void> {
    this.#round += 1
    try {
      await this.#keepRunning()
      await this.#reloadKeys()
      await this.#rewrap()
      await this.#deps.auditCheckpoints.runRound()
      if (this.#isCounting) this.#isCounting = (await this.#deps.storage.countOlder()) > 0
      if (this.#round % ROUNDS_PER_CLEANING === 0) await this.#clean()
    } catch (err) {
      this.#noteTrouble(err)
    }
  }

  #search(signal: AbortSignal): Promise<void> {
    return this.#closeExpired(signal).catch((err: unknown) => this.#noteTrouble(err))
  }

  async #verify(signal: AbortSignal): Promise<void> {
    await this.#deps.nightlyVerification.runRound(signal).catch((err: unknown) => {
      if (!signal.aborted) this.#deps.log.warn({ err }, 'the audit log could not be verified yet')
    })
  }

  #noteTrouble(err: unknown): void {
    for (const { watch } of this.#leased) watch.forgetAll()
    this.#trouble.note(err)
  }

  async #keepRunning(): Promise<void> {
    const { running, replicaId, repositories } = this.#deps
    await this.#deps.calls.renewLeases()
    const { ids } = running
    if (ids.length === 0) return
    const cancelled = await repositories.leases.renew(replicaId, ids, LEASE_SECONDS)
    for (const id of cancelled) running.cancel(id)
    for (const checkpoints of running.takeCheckpoints()) {
      await repositories.leases.saveCheckpoints(replicaId, checkpoints)
    }
  }

  /**
   * One that could not be renewed is not an orphan: its watch restarts whenever the database cannot
   * be written to or its row is locked.
   */
  async #closeExpired(signal: AbortSignal): Promise<void> {
    const { repositories, replicaId } = this.#deps
    await repositories.heartbeats.beat(replicaId)
    for (const leased of this.#leased) {
      const ids = leased.watch.look(await leased.leases.listRunning())
      if (ids.length === 0) continue
      const among = await leased.leases.listUnlocked(ids)
      const unlocked = new Set(among)
      leased.watch.forget(ids.filter((id) => !unlocked.has(id)))
      if (among.length > 0) await this.#closeOrphans(leased, { among }, signal)
    }
  }

  async #closeOrphans(
    { kind, close }: Leased,
    which: WhichOrphans,
    signal?: AbortSignal,
  ): Promise<void> {
    const closed = await close(which, signal)
    if (closed > 0) this.#deps.log.warn({ [kind]: closed }, `closed ${kind} of a dead process`)
  }

  /** A key that does not open must not stop the rest of the maintenance. */
  async #reloadKeys(): Promise<void> {
    await this.#deps.signingKeys
      .runRound()
      .catch((err: unknown) => this.#noteFault(err, 'signing keys could not be read'))
  }

  async #rewrap(): Promise<void> {
    const { rewrapping, log } = this.#deps
    const moved = await rewrapping.runRound().catch((err: unknown) => {
      this.#noteFault(err, 'data keys could not be moved under the current key')
      return 0
    })
    if (moved > 0) log.info({ keys: moved }, 'moved data keys under the current key')
  }

  /** @throws a failure of the database: it is no fault of the keys, and the whole round is over. */
  #noteFault(err: unknown, message: string): void {
    if (isDatabaseGone(err)) throw err
    this.#deps.log.error({ err }, message)
  }

  async #clean(): Promise<void> {
    const { heartbeats, rateLimits, sessions, signInFailures, oneTimeLinks } =
      this.#deps.repositories
    const { invitations, oauthRecords } = this.#deps.repositories
    await heartbeats.deleteOld()
    await rateLimits.deleteExpired()
    await oneTimeLinks.deleteExpired()
    await invitations.deleteOld()
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
