/** Repeated work: the next round begins a pause after the last one has ended. */
export class Rounds {
  readonly #pauseMs: number
  readonly #work: (signal: AbortSignal) => Promise<void>
  #stop = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #current: Promise<void> = Promise.resolve()

  /** `work` must not throw. Its signal aborts when the rounds are to stop. */
  constructor(pauseMs: number, work: (signal: AbortSignal) => Promise<void>) {
    this.#pauseMs = pauseMs
    this.#work = work
  }

  /** The timer does not keep the process alive. */
  start(): void {
    this.#stop = new AbortController()
    this.#plan()
  }

  /** Waits for the running round. */
  async stop(): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#timer)
    await this.#current
  }

  #plan(): void {
    const { signal } = this.#stop
    this.#timer = setTimeout(() => {
      this.#current = this.#work(signal).finally(() => signal.aborted || this.#plan())
    }, this.#pauseMs).unref()
  }
}
