/**
 * Reads that may take a megabyte each (pages of history, of an export, of usage): one at a time for
 * each user and a few at a time in all, first come, first served. So one user's reading slows down
 * that user, and no number of readers fills the memory.
 */

import { AppError } from '../errors.ts'
import { BoundedQueue } from './bounded-queue.ts'

type Options = {
  /** At the same time in this process. */
  concurrency: number
  /** Of one user, behind the one that is under way. */
  maxWaitingPerUser: number
  /** Of all users; each has one at most that is not behind another of its own. */
  maxWaiting: number
}

const DEFAULTS: Options = { concurrency: 4, maxWaitingPerUser: 250, maxWaiting: 500 }
const RETRY_AFTER_SECONDS = 5

export class HeavyReads {
  readonly #options: Options
  readonly #all: BoundedQueue
  /** Of users who read now: how many reads are in each one's queue or under way. */
  readonly #ofUsers = new Map<string, { queue: BoundedQueue; reads: number }>()

  constructor(options: Partial<Options> = {}) {
    this.#options = { ...DEFAULTS, ...options }
    const { concurrency, maxWaiting } = this.#options
    this.#all = new BoundedQueue({ concurrency, maxQueued: maxWaiting, refuse: tooManyInAll })
  }

  /**
   * Runs the read when it is its turn. It has to be short, one page, and to wait for no other.
   *
   * @throws AppError rate_limited when this user has too many waiting, overloaded when all have.
   */
  async run<T>(userId: string, read: () => Promise<T>): Promise<T> {
    const mine = this.#ofUsers.get(userId) ?? { queue: this.#newQueue(), reads: 0 }
    this.#ofUsers.set(userId, mine)
    mine.reads += 1
    try {
      return await mine.queue.run(() => this.#all.run(read))
    } finally {
      mine.reads -= 1
      if (mine.reads === 0) this.#ofUsers.delete(userId)
    }
  }

  #newQueue(): BoundedQueue {
    const maxQueued = this.#options.maxWaitingPerUser
    return new BoundedQueue({ concurrency: 1, maxQueued, refuse: tooManyOfOne })
  }
}

const tooManyOfOne = () =>
  new AppError(
    'rate_limited',
    'Too many of your calls that read much are waiting for one another. Try again when they have ended.',
    { retryAfterSeconds: RETRY_AFTER_SECONDS, details: { limited_by: 'gateway' } },
  )

const tooManyInAll = () =>
  new AppError('overloaded', 'Too many calls that read much at this moment. Try again shortly.', {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  })
