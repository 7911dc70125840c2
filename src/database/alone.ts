/** Statements of one user alone, who may be held up by a lock: bounded, and out of others' way. */

import { AppError } from '../errors.ts'

/** Connections that one user's statements of a kind may wait with. */
const MOST_AT_ONCE = 2
/** In turn for one of them. */
const MOST_WAITING = 1000
const WAIT_MS = 15_000
/** Of those who may be held up by a lock, whoever has been at it for so long is, */
const HELD_UP_MS = 50
/** and for so long after it. */
const REMEMBERED_MS = 2_000

type Queue = {
  running: number
  waiting: Set<() => void>
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
    if (queue.heldUpUntil > now || queue.waiting.size > 0) return true
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
    if (queue.running >= MOST_AT_ONCE) await turnIn(queue)
    else queue.running += 1
    const since = performance.now()
    if (isSuspected) queue.suspectedSince.add(since)
    try {
      return await work()
    } finally {
      if (queue.suspectedSince.delete(since)) this.#judge(key, queue, since)
      this.#pass(key, queue)
    }
  }

  #judge(key: string, queue: Queue, since: number): void {
    const now = performance.now()
    if (now - since <= HELD_UP_MS) return
    queue.heldUpUntil = now + REMEMBERED_MS
    setTimeout(() => this.#forgetIdle(key, queue), REMEMBERED_MS + 1).unref()
  }

  #pass(key: string, queue: Queue): void {
    const [next] = queue.waiting
    if (next) {
      next()
      return
    }
    queue.running -= 1
    this.#forgetIdle(key, queue)
  }

  #forgetIdle(key: string, { running, heldUpUntil }: Queue): void {
    if (running === 0 && heldUpUntil <= performance.now()) this.#queues.delete(key)
  }
}

const newQueue = (): Queue => ({
  running: 0,
  waiting: new Set(),
  suspectedSince: new Set(),
  heldUpUntil: Number.NEGATIVE_INFINITY,
})

/** Takes over the place of one that ends. */
function turnIn({ waiting }: Queue): Promise<void> {
  if (waiting.size >= MOST_WAITING) throw heldUp()
  return new Promise((resolve, reject) => {
    const grant = () => {
      clearTimeout(timer)
      waiting.delete(grant)
      resolve()
    }
    const timer = setTimeout(() => {
      waiting.delete(grant)
      reject(heldUp())
    }, WAIT_MS)
    waiting.add(grant)
  })
}

const heldUp = () =>
  new AppError(
    'database_unavailable',
    'Something holds a lock on your rows in the database. Try again shortly.',
    { retryAfterSeconds: 5 },
  )
