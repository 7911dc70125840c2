import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../errors.ts'

type Options = {
  /** Limit of all waits together. */
  mostMs: number
  /** Called with the reason for the wait, at first and then every 10 s. */
  say: (message: string) => void
}

const SAY_AGAIN_MS = 10_000

/** Waits with a time limit, and reports what it waits for. */
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
   * @param why the reason for the wait, for the log and for the error.
   * @throws AppError database_unavailable when no time is left.
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
