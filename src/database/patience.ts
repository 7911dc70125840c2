import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../errors.ts'

type Options = {
  /** All waits together. */
  mostMs: number
  /** Told what is waited for, at first and then from time to time. */
  say: (message: string) => void
}

const SAY_AGAIN_MS = 10_000

/** Waiting for others to be done, not in silence and not for ever. */
export class Patience {
  readonly #until: number
  readonly #minutes: number
  readonly #say: Options['say']
  #saidAt = Number.NEGATIVE_INFINITY

  constructor({ mostMs, say }: Options) {
    this.#until = performance.now() + mostMs
    this.#minutes = Math.round(mostMs / 60_000)
    this.#say = say
  }

  /**
   * @param why what is waited for, for the log and for whoever is told in the end.
   * @throws AppError database_unavailable when there is no time left.
   */
  async wait(ms: number, why: string): Promise<void> {
    const now = performance.now()
    if (now > this.#until) {
      const message = `The migration of the database was given up after ${this.#minutes} minutes. ${why}. End that, or start the gateway again later.`
      throw new AppError('database_unavailable', message)
    }
    if (now - this.#saidAt > SAY_AGAIN_MS) {
      this.#say(`${why}. The migration waits.`)
      this.#saidAt = now
    }
    await sleep(ms)
  }
}
