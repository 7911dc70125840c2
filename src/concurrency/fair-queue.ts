/**
 * Limits concurrent work and serves the waiting keys round-robin, so that a key with many calls
 * delays only itself. FIFO within a key. Trusted keys get every other turn, so that no number of
 * untrusted keys delays them.
 */

type Waiting = { begin: () => void; refuse: () => void }

export type FairQueueOptions = {
  /** The limit for all keys together. */
  concurrency: number
  /** The limit for one key; its further calls wait even while slots are free. */
  concurrencyPerKey?: number
  maxQueued: number
  isTrusted?: (key: string) => boolean
  /** Makes the error of a call that is turned away. */
  refuse: () => Error
}

export class FairQueue {
  readonly #options: Required<FairQueueOptions>
  /** By key, in round-robin order; no list is empty. */
  readonly #waiting = new Map<string, Waiting[]>()
  readonly #runningOf = new Map<string, number>()
  #running = 0
  #queued = 0
  #isTurnOfTrusted = true

  constructor(options: FairQueueOptions) {
    if (!(options.concurrency >= 1)) throw new RangeError('concurrency must be at least 1')
    if (!(options.maxQueued >= 0)) throw new RangeError('maxQueued must not be negative')
    const defaults = { concurrencyPerKey: options.concurrency, isTrusted: () => false }
    this.#options = { ...defaults, ...options }
  }

  /** Calls waiting for a slot; those already running are not counted. */
  get queued(): number {
    return this.#queued
  }

  /**
   * Runs `work` when it is its key's turn. When the queue is full, the newest call of the key with
   * the most waiting calls is refused: this call, or another key's last one, or an untrusted key's
   * to make room for a trusted one.
   *
   * @throws the error of `refuse`, without running `work`.
   */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    await this.#enter(key)
    try {
      return await work()
    } finally {
      this.#leave(key)
    }
  }

  async #enter(key: string): Promise<void> {
    const { concurrency } = this.#options
    if (this.#queued === 0 && this.#running < concurrency && this.#mayRun(key)) {
      return this.#count(key, 1)
    }
    this.#makeRoom(key)
    await new Promise<void>((resolve, reject) => {
      const list = this.#waiting.get(key) ?? []
      list.push({ begin: resolve, refuse: () => reject(this.#options.refuse()) })
      this.#waiting.set(key, list)
      this.#queued += 1
      this.#beginNext()
    })
  }

  #leave(key: string): void {
    this.#count(key, -1)
    this.#beginNext()
  }

  #mayRun(key: string): boolean {
    return (this.#runningOf.get(key) ?? 0) < this.#options.concurrencyPerKey
  }

  #count(key: string, change: number): void {
    this.#running += change
    const own = (this.#runningOf.get(key) ?? 0) + change
    if (own > 0) this.#runningOf.set(key, own)
    else this.#runningOf.delete(key)
  }

  /** A key that had its turn moves to the end of the round. */
  #beginNext(): void {
    while (this.#running < this.#options.concurrency) {
      const key = this.#nextKey()
      if (key === undefined) return
      const list = this.#waiting.get(key) ?? []
      const next = list.shift()
      this.#waiting.delete(key)
      if (list.length > 0) this.#waiting.set(key, list)
      this.#queued -= 1
      this.#count(key, 1)
      next?.begin()
    }
  }

  #nextKey(): string | undefined {
    const ready = [...this.#waiting.keys()].filter((key) => this.#mayRun(key))
    const isFirst = (key: string) => this.#options.isTrusted(key) === this.#isTurnOfTrusted
    this.#isTurnOfTrusted = !this.#isTurnOfTrusted
    return ready.find(isFirst) ?? ready[0]
  }

  #makeRoom(key: string): void {
    if (this.#queued < this.#options.maxQueued) return
    const own = this.#waiting.get(key)?.length ?? 0
    const { isTrusted } = this.#options
    const stranger = isTrusted(key) ? this.#greediest((other) => !isTrusted(other), 0) : undefined
    const yielding = stranger ?? this.#greediest(() => true, own + 1)
    if (yielding === undefined) throw this.#options.refuse()
    const list = this.#waiting.get(yielding) ?? []
    list.pop()?.refuse()
    if (list.length === 0) this.#waiting.delete(yielding)
    this.#queued -= 1
  }

  /** Among the matching keys, the one with the most waiting calls, if more than `moreThan`. */
  #greediest(isMeant: (key: string) => boolean, moreThan: number): string | undefined {
    let found: string | undefined
    let most = moreThan
    for (const [key, { length }] of this.#waiting) {
      if (length > most && isMeant(key)) [found, most] = [key, length]
    }
    return found
  }
}
