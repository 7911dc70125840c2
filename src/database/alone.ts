/** Statements of one user alone, who may be held up by a lock: bounded, and out of others' way. */

import { createSemaphore, type Semaphore } from '../concurrency/semaphore.ts'

/** Connections that one user's statements of a kind may wait with. */
const MOST_AT_ONCE = 2
/** In turn for one of them, as long as turns come at all: a crowd is not a lock. */
const WAIT_MS = 60_000
const STALL_MS = 15_000
/** Of those who may be held up by a lock, whoever has been at it for so long is, */
const HELD_UP_MS = 50
/** and for so long after it. */
const REMEMBERED_MS = 2_000

type Queue = {
  turns: Semaphore
  /** That run or wait for their turn. */
  asked: number
  /** When those began that may be held up. */
  suspectedSince: Set<number>
  heldUpUntil: number
}

export class Alone {
  readonly #queues = new Map<string, Queue>()

  /** Whether others would wait for this one's locks. */
  isHeldUp(key: string): boolean {
    const queue = this.#queues.get(key)
    if (queue === undefined) return false
    const now = performance.now()
    if (queue.heldUpUntil > now || queue.asked > MOST_AT_ONCE) return true
    return [...queue.suspectedSince].some((since) => now - since > HELD_UP_MS)
  }

  /**
   * Runs the work when it is its turn.
   *
   * @param isSuspected whether a lock has just kept it from being done.
   * @throws AppError database_unavailable when its turn does not come; what the work throws.
   */
  async run<T>(key: string, isSuspected: boolean, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? newQueue()
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
    queue.heldUpUntil = now + REMEMBERED_MS
    setTimeout(() => this.#forgetIdle(key, queue), REMEMBERED_MS + 1).unref()
  }

  #forgetIdle(key: string, queue: Queue): void {
    const isIdle = queue.asked === 0 && queue.heldUpUntil <= performance.now()
    if (isIdle && this.#queues.get(key) === queue) this.#queues.delete(key)
  }
}

const newQueue = (): Queue => ({
  turns: createSemaphore({ places: MOST_AT_ONCE, waitMs: WAIT_MS, stallMs: STALL_MS }),
  asked: 0,
  suspectedSince: new Set(),
  heldUpUntil: Number.NEGATIVE_INFINITY,
})
