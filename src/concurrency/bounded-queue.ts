/** A cap on work in flight, with a bounded first-in, first-out queue behind it. */
export class BoundedQueue {
  readonly #concurrency: number
  readonly #maxQueued: number
  readonly #refuse: () => Error
  readonly #waiting: (() => void)[] = []
  #running = 0

  /** `refuse` makes the error of a call that finds the queue full. */
  constructor(options: { concurrency: number; maxQueued: number; refuse: () => Error }) {
    if (!(options.concurrency >= 1)) throw new RangeError('concurrency must be at least 1')
    if (!(options.maxQueued >= 0)) throw new RangeError('maxQueued must not be negative')
    this.#concurrency = options.concurrency
    this.#maxQueued = options.maxQueued
    this.#refuse = options.refuse
  }

  /** Calls waiting for a slot; those already running are not counted. */
  get queued(): number {
    return this.#waiting.length
  }

  /** Runs `work` when a slot is free. Rejects at once, without running it, when the queue is full. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    await this.#enter()
    try {
      return await work()
    } finally {
      this.#leave()
    }
  }

  #enter(): Promise<void> | undefined {
    if (this.#running < this.#concurrency) {
      this.#running += 1
      return
    }
    if (this.#waiting.length >= this.#maxQueued) throw this.#refuse()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Hands the slot to the next in line, so that a newcomer can never overtake the queue. */
  #leave(): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#running -= 1
  }
}
