/** A semaphore: a few places, granted first in, first out (FIFO), and never waited for without a limit. */

import { AppError } from '../errors.ts'

export type Semaphore = {
  /**
   * A place, granted in the order of asking.
   * @throws AppError database_unavailable when none comes free in time.
   */
  acquire(): Promise<void>
  /** Hands the place to whoever has waited longest. */
  release(): void
}

type Options = {
  places: number
  /** How long one may wait in a queue that moves. */
  waitMs: number
  /** A queue in which nobody's turn came for so long has nothing to wait for. */
  stallMs: number
}

export function createSemaphore({ places, waitMs, stallMs }: Options): Semaphore {
  const waiting = new Set<() => void>()
  let free = places
  let movedAt = 0

  const wait = (resolve: () => void, reject: (error: AppError) => void) => {
    const since = performance.now()
    let timer = setTimeout(look, Math.min(waitMs, stallMs))
    waiting.add(grant)

    function grant() {
      clearTimeout(timer)
      waiting.delete(grant)
      resolve()
    }
    function look() {
      const now = performance.now()
      const remainingMs = Math.min(since + waitMs, Math.max(since, movedAt) + stallMs) - now
      if (remainingMs > 1) {
        timer = setTimeout(look, remainingMs)
        return
      }
      waiting.delete(grant)
      reject(busy(now - since))
    }
  }

  return {
    acquire() {
      if (free === 0) return new Promise(wait)
      free -= 1
      return Promise.resolve()
    },
    release() {
      movedAt = performance.now()
      const [next] = waiting
      // Passed on, and never free between two holders: nobody can jump the queue.
      if (next) next()
      else free += 1
    },
  }
}

function busy(waitedMs: number): AppError {
  const cause = new Error(
    'No connection came free: probably a query on db inside an open transaction, or a transaction held across slow work.',
  )
  return new AppError(
    'database_unavailable',
    `The database was busy for ${(waitedMs / 1000).toFixed(1)} s. Try again shortly.`,
    { cause, retryAfterSeconds: 2 },
  )
}
