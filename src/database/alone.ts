/** A bounded queue per key for statements that a lock may block: they run outside the batches. */

import { createSemaphore, type Semaphore } from '../concurrency/semaphore.ts'

const MOST_AT_ONCE = 2
/** Timeouts of the semaphore: in all, and without any progress. A long queue alone is no lock. */
const WAIT_MS = 60_000
const STALL_MS = 15_000
/** A suspected statement that runs for longer than this counts as blocked by a lock. */
const HELD_UP_MS = 50
const REMEMBERED_MS = 2_000

type Options = {
  /** Connections that the statements of one key occupy at most; 2 unless given. */
  mostAtOnce?: number
  /** For this long after a blocked statement its key counts as blocked; 2,000 unless given. */
  rememberedMs?: number
}

type Queue = {
  turns: Semaphore
  /** Number of calls that run or wait. */
  asked: number
  /** Start times of the running statements that a lock may block. */
  suspectedSince: Set<number>
  heldUpUntil: number
}

export class Alone {
  readonly #options: Required<Options>
  readonly #queues = new Map<string, Queue>()

  constructor({ mostAtOnce = MOST_AT_ONCE, rememberedMs = REMEMBERED_MS }: Options = {}) {
    this.#options = { mostAtOnce, rememberedMs }
  }

  /** Whether a statement for this key would block the others of its batch. */
  isHeldUp(key: string): boolean {
    const queue = this.#queues.get(key)
    if (queue === undefined) return false
    const now = performance.now()
    if (queue.heldUpUntil > now || queue.asked > this.#options.mostAtOnce) return true
    return [...queue.suspectedSince].some((since) => now - since > HELD_UP_MS)
  }

  /**
   * Runs the work when the key's semaphore admits it.
   *
   * @param isSuspected whether it has just failed with a lock timeout.
   * @throws AppError database_unavailable when the semaphore times out; what the work throws.
   */
  async run<T>(key: string, isSuspected: boolean, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? newQueue(this.#options.mostAtOnce)
    this.#queues.set(key, queue)
    queue.asked += 1
    try {
      await queue.turns.acquire()
      return await this.#runNow(key, queue, isSuspected, work).finally(queue.turns.release)
    } finally {
      queue.asked -= 1
      this.#forgetIdle(key, queue)
    }
  }

  async #runNow<T>(
    key: string,
    queue: Queue,
    isSuspected: boolean,
    work: () => Promise<T>,
  ): Promise<T> {
    const since = performance.now()
    if (isSuspected) queue.suspectedSince.add(since)
    try {
      return await work()
    } finally {
      if (queue.suspectedSince.delete(since)) this.#judge(key, queue, since)
    }
  }

  #judge(key: string, queue: Queue, since: number): void {
    const now = performance.now()
    if (now - since <= HELD_UP_MS) return
    const { rememberedMs } = this.#options
    queue.heldUpUntil = now + rememberedMs
    setTimeout(() => this.#forgetIdle(key, queue), rememberedMs + 1).unref()
  }

  #forgetIdle(key: string, queue: Queue): void {
    const isIdle = queue.asked === 0 && queue.heldUpUntil <= performance.now()
    if (isIdle && this.#queues.get(key) === queue) this.#queues.delete(key)
  }
}

const newQueue = (places: number): Queue => ({
  turns: createSemaphore({ places, waitMs: WAIT_MS, stallMs: STALL_MS }),
  asked: 0,
  suspectedSince: new Set(),
  heldUpUntil: Number.NEGATIVE_INFINITY,
})
