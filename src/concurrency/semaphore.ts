/** A first-in, first-out (FIFO) semaphore with a limit on the wait. */

import { AppError } from '../errors.ts'

export type Semaphore = {
  /**
   * Takes a place, in the order of the calls.
   * @throws AppError database_unavailable when none comes free in time.
   */
  acquire(): Promise<void>
  /** Hands the place to the caller that has waited longest. */
  release(): void
}

type Options = {
  places: number
  /** The longest wait in a queue that moves. */
  waitMs: number
  /** The longest wait while no place is released at all. */
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
      // Handed over directly and never free in between, so that no caller can jump the queue.
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
