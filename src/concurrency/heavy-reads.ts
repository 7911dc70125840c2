/**
 * Limits reads that may take a megabyte each (pages of history, of an export, of usage): one at a
 * time per user and a few in all, FIFO. So a user's reads delay only that user, and memory stays
 * bounded for any number of readers.
 */

import { AppError } from '../errors.ts'
import { BoundedQueue } from './bounded-queue.ts'

type Options = {
  /** The limit of concurrent reads in this process. */
  concurrency: number
  /** Per user, in addition to the read that is running. */
  maxWaitingPerUser: number
  /** Of all users; counts only the first waiting read of each. */
  maxWaiting: number
}

const DEFAULTS: Options = { concurrency: 4, maxWaitingPerUser: 250, maxWaiting: 500 }
const RETRY_AFTER_SECONDS = 5

export class HeavyReads {
  readonly #options: Options
  readonly #all: BoundedQueue
  /** Users with reads: how many are running or waiting for each. */
  readonly #ofUsers = new Map<string, { queue: BoundedQueue; reads: number }>()

  constructor(options: Partial<Options> = {}) {
    this.#options = { ...DEFAULTS, ...options }
    const { concurrency, maxWaiting } = this.#options
    this.#all = new BoundedQueue({ concurrency, maxQueued: maxWaiting, refuse: tooManyInAll })
  }

  /**
   * Runs the read when it is its turn. It must be short (one page) and must not wait for another.
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
