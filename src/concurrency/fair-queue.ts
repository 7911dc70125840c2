/**
 * A cap on work in flight, and behind it a queue that takes turns between those who ask: whoever
 * asks most waits for itself. Within a key it is first in, first out. Keys that are trusted have
 * every other turn for themselves, so that no number of strangers keeps them waiting.
 */

type Waiting = { begin: () => void; refuse: () => void }

export type FairQueueOptions = {
  /** At once, of all keys. */
  concurrency: number
  /** That one key may have running; its others wait while there is room for others' work. */
  concurrencyPerKey?: number
  maxQueued: number
  isTrusted?: (key: string) => boolean
  /** Makes the error of a call for which there is no place. */
  refuse: () => Error
}

export class FairQueue {
  readonly #options: Required<FairQueueOptions>
  /** By key, in the order of their turns; no list is empty. */
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
   * Runs `work` when it is its key's turn. When all places are taken, the newcomer of the key that
   * has most of them goes without: this call, or the last of a greedier key's, or of a stranger's
   * for a trusted key.
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

  /** The key that had its turn goes to the end of the round. */
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

  /** Of some keys the one with most places, if it has more than so many. */
  #greediest(isMeant: (key: string) => boolean, moreThan: number): string | undefined {
    let found: string | undefined
    let most = moreThan
    for (const [key, { length }] of this.#waiting) {
      if (length > most && isMeant(key)) [found, most] = [key, length]
    }
    return found
  }
}
