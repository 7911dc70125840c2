/** Probes whether outside hosts are reachable at all, at startup and periodically. */

import type { Logger } from '../../log.ts'
import { reasonOf } from '../../network/untrusted/fetch-reasons.ts'

const AGAIN_WHEN_OPEN_MS = 10 * 60_000
const AGAIN_WHEN_SHUT_MS = 60_000
/** Minimum interval between probes that `doubt` starts. */
const LEAST_MS = 20_000

type Options = {
  /** Rejects when outside hosts are unreachable. */
  tryIt: () => Promise<unknown>
  log: Logger
}

export class WayOut {
  readonly #options: Options
  #isOpen: boolean | undefined
  #isStopped = false
  #triedAt = Number.NEGATIVE_INFINITY
  #again: NodeJS.Timeout | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** The last result; false before the first. */
  get isOpen(): boolean {
    return this.#isOpen ?? false
  }

  /** Probes periodically; resolves after the first probe. */
  async start(): Promise<void> {
    clearTimeout(this.#again)
    this.#triedAt = performance.now()
    const error = await this.#options.tryIt().then(
      () => undefined,
      (thrown: unknown) => thrown ?? new Error('unknown'),
    )
    if (this.#isStopped) return
    this.#note(error)
    const againMs = this.isOpen ? AGAIN_WHEN_OPEN_MS : AGAIN_WHEN_SHUT_MS
    clearTimeout(this.#again)
    this.#again = setTimeout(() => void this.start(), againMs).unref()
  }

  /** Reports a failed fetch, which may be the fault of its host, and probes again. */
  doubt(): void {
    if (this.#isStopped || performance.now() - this.#triedAt < LEAST_MS) return
    void this.start()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#again)
  }

  #note(error: unknown): void {
    const wasOpen = this.#isOpen
    this.#isOpen = error === undefined
    if (this.#isOpen === wasOpen) return
    if (this.#isOpen) {
      if (wasOpen === false) this.#options.log.info("clients' documents can be fetched again")
      return
    }
    this.#options.log.warn(
      { reason: reasonOf(error, false).logged },
      "clients' documents cannot be fetched from here, so clients are asked to register instead. Where the internet is behind a proxy, set HTTPS_PROXY; CLIENT_ID_DOCUMENTS=off has it so without trying, =on fetches them all the same",
    )
  }
}
