import { AppError } from '../../errors.ts'

/** Abort reason of the gateway's own stops: the call ends as `interrupted`, not as `cancelled`. */
export const INTERRUPTED = Symbol('interrupted')

/** A call that this process runs, and what else is known of it. */
export type RunningCall = { controller: AbortController }

/** The calls this process runs: waits for them, and stops them. */
export class RunningCalls<Call extends RunningCall = RunningCall> {
  readonly #entries = new Map<string, { call: Call; done: Promise<unknown> }>()
  #stopping = false

  get ids(): string[] {
    return [...this.#entries.keys()]
  }

  get isStopping(): boolean {
    return this.#stopping
  }

  protected get calls(): Call[] {
    return [...this.#entries.values()].map(({ call }) => call)
  }

  /** @throws AppError shutting_down once {@link interrupt} was called. */
  refuseWhenStopping(): void {
    if (!this.#stopping) return
    throw new AppError('shutting_down', 'The gateway is restarting. Try again in a few seconds.', {
      retryAfterSeconds: 5,
    })
  }

  /** Keeps the work, which continues without its caller; {@link drain} waits for it. */
  add<T>(id: string, call: Call, work: () => Promise<T>): Promise<T> {
    const done = work().finally(() => this.#entries.delete(id))
    // Waiting callers get the error; without one it must not end the process as unhandled.
    done.catch(() => {})
    this.#entries.set(id, { call, done })
    return done
  }

  protected entry(id: string): { call: Call; done: Promise<unknown> } | undefined {
    return this.#entries.get(id)
  }

  /** Stops one call at its user's request, made here or through another replica. */
  cancel(id: string): void {
    this.abort(id, new Error('cancelled by its user'))
  }

  /** Stops one call, if this process runs it. */
  abort(id: string, reason: unknown): void {
    this.#entries.get(id)?.call.controller.abort(reason)
  }

  /** Waits up to `graceMs` for all calls, including new ones, then acts as {@link interrupt}. */
  async drain(graceMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const grace = new Promise((resolve) => {
      timer = setTimeout(resolve, graceMs)
    })
    await Promise.race([this.untilIdle(), grace])
    clearTimeout(timer)
    await this.interrupt()
  }

  /** Resolves when nothing is running, including calls that begin meanwhile. */
  untilIdle(): Promise<void> {
    return this.#untilIdle(() => {})
  }

  /** Takes no new work, interrupts what is running, and waits until it is recorded. */
  async interrupt(): Promise<void> {
    this.#stopping = true
    await this.#untilIdle(({ controller }) => controller.abort(INTERRUPTED))
  }

  /** Repeats until idle: a call that was admitted just before may begin during the first pass. */
  async #untilIdle(touch: (call: Call) => void): Promise<void> {
    while (this.#entries.size > 0) {
      const all = [...this.#entries.values()]
      for (const { call } of all) touch(call)
      await Promise.allSettled(all.map(({ done }) => done))
    }
  }
}
