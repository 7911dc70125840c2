/** Writes the end of a call that was paid for, and retries until it succeeds. */

import { AppError, isDatabaseGone } from '../../errors.ts'
import type { Logger } from '../../log.ts'

/** The pauses between retries; the last one repeats. */
const PAUSES_MS = [250, 500, 1000, 2000, 5000]
/** Errors other than an unreachable database are retried for this long: they need a new build. */
const FAULTY_FOR_MS = 15 * 60_000
/** Tries of each {@link Form}. */
const TRIES_EACH = 2

/**
 * What to write: the outcome as it is; then, since the database refuses it, only values of the
 * gateway's own, with the text and at last without it.
 */
export type Form = 'whole' | 'plain' | 'bare'

/** What is settled, for the log: `an answer`, whose id is logged as `answerId`. */
type Noun = { one: string; several: string; idName: string }

type Deps = { log: Logger; noun: Noun }

export class LastingSettlement {
  readonly #deps: Deps
  /** Calls whose end exists only in this process's memory. */
  readonly #kept = new Set<string>()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Retries after every error, except when the call has already ended. Its lease has to be renewed
   * meanwhile, so that no other process closes it.
   *
   * @param onFailure called after each failed try.
   * @throws AppError interrupted or not_found when it was closed or deleted meanwhile; what `write`
   *   throws when retries have long been in vain: then another process closes it.
   */
  async write<T>(
    id: string,
    write: (form: Form) => Promise<T>,
    onFailure: () => void = () => {},
  ): Promise<T> {
    const since = performance.now()
    let faults = 0
    for (let attempt = 0; ; attempt++) {
      try {
        const written = await write(formAfter(faults))
        this.#stored(id)
        return written
      } catch (error) {
        if (!isDatabaseGone(error)) faults += 1
        if (isOver(error) || (faults > 0 && performance.now() - since > FAULTY_FOR_MS)) {
          this.#release(id)
          throw error
        }
        this.#keep(id, error)
        onFailure()
        await pause(PAUSES_MS[attempt] ?? (PAUSES_MS.at(-1) as number))
      }
    }
  }

  #keep(id: string, err: unknown): void {
    const { log, noun } = this.#deps
    const fields = { err, [noun.idName]: id }
    if (!isDatabaseGone(err)) log.error(fields, `${noun.one} could not be stored`)
    if (this.#kept.has(id)) return
    log.warn(fields, `${noun.one} cannot be stored yet; it is kept and tried again`)
    if (this.#kept.size === 0) process.once('exit', this.#tellLost)
    this.#kept.add(id)
  }

  #stored(id: string): void {
    if (!this.#kept.has(id)) return
    this.#release(id)
    const { log, noun } = this.#deps
    log.info({ [noun.idName]: id }, `${noun.one} that was kept is stored`)
  }

  #release(id: string): void {
    this.#kept.delete(id)
    if (this.#kept.size === 0) process.off('exit', this.#tellLost)
  }

  /** The cost that is booked for them later is the most that it may have been. */
  readonly #tellLost = (): void => {
    const { log, noun } = this.#deps
    log.fatal(
      { [`${noun.idName}s`]: [...this.#kept] },
      `stopped with ${noun.several} that could not be stored: they are lost`,
    )
  }
}

function formAfter(faults: number): Form {
  if (faults < TRIES_EACH) return 'whole'
  return faults < 2 * TRIES_EACH ? 'plain' : 'bare'
}

/** Ended by another process, or deleted with its account. */
const isOver = (error: unknown) =>
  error instanceof AppError && (error.code === 'interrupted' || error.code === 'not_found')

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
