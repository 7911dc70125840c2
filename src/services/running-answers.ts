import { AppError } from '../errors.ts'

type Running = { controller: AbortController; done: Promise<unknown> }

/** Why an answer was stopped from inside: its turn ends as `interrupted`, not as `cancelled`. */
export const INTERRUPTED = Symbol('interrupted')

/** The answers this process is generating, so that stopping it can wait for them. */
export class RunningAnswers {
  readonly #running = new Map<string, Running>()
  #stopping = false

  get ids(): string[] {
    return [...this.#running.keys()]
  }

  get isStopping(): boolean {
    return this.#stopping
  }

  /** @throws AppError shutting_down once {@link drain} has begun. */
  refuseWhenStopping(): void {
    if (!this.#stopping) return
    throw new AppError('shutting_down', 'The gateway is restarting. Try again in a few seconds.', {
      retryAfterSeconds: 5,
    })
  }

  /**
   * Runs the work under an own abort signal, which follows the caller's.
   *
   * The work is not tied to the caller beyond that: it goes on, and is waited for by
   * {@link drain}, when nobody awaits the returned promise any more.
   */
  run<T>(id: string, callerSignal: AbortSignal, work: (signal: AbortSignal) => Promise<T>) {
    const controller = new AbortController()
    const follow = () => controller.abort(callerSignal.reason)
    if (callerSignal.aborted) follow()
    callerSignal.addEventListener('abort', follow, { once: true })
    const done = work(controller.signal).finally(() => {
      callerSignal.removeEventListener('abort', follow)
      this.#running.delete(id)
    })
    this.#running.set(id, { controller, done })
    return done
  }

  /** Takes no new work, gives what runs `graceMs`, interrupts the rest and waits for its record. */
  async drain(graceMs: number): Promise<void> {
    this.#stopping = true
    let timer: NodeJS.Timeout | undefined
    const grace = new Promise((resolve) => {
      timer = setTimeout(resolve, graceMs)
    })
    await Promise.race([this.#untilIdle(() => {}), grace])
    clearTimeout(timer)
    await this.#untilIdle(({ controller }) => controller.abort(INTERRUPTED))
  }

  /** Round after round: an answer that was let in just before may begin during the first. */
  async #untilIdle(touch: (running: Running) => void): Promise<void> {
    while (this.#running.size > 0) {
      const all = [...this.#running.values()]
      all.forEach(touch)
      await Promise.allSettled(all.map(({ done }) => done))
    }
  }
}
