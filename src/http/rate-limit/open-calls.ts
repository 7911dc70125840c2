/** Limits how many calls of a user are open in this process at once. */

import type { Response } from 'express'
import { AppError } from '../../errors.ts'

const RETRY_AFTER_SECONDS = 5

export class OpenCallLimit {
  readonly #maxPerUser: number
  readonly #open = new Map<string, number>()

  constructor(maxPerUser: number) {
    this.#maxPerUser = maxPerUser
  }

  /** The refusal of another call; null: there is room. */
  refusal(userId: string): AppError | null {
    return (this.#open.get(userId) ?? 0) < this.#maxPerUser ? null : tooMany(this.#maxPerUser)
  }

  /** Counts the call until its response is closed. A client may have left before. */
  count(userId: string, res: Pick<Response, 'closed' | 'once'>): void {
    if (res.closed) return
    this.#add(userId, 1)
    res.once('close', () => this.#add(userId, -1))
  }

  #add(userId: string, calls: number): void {
    const now = (this.#open.get(userId) ?? 0) + calls
    if (now > 0) this.#open.set(userId, now)
    else this.#open.delete(userId)
  }
}

const tooMany = (max: number) =>
  new AppError(
    'rate_limited',
    `${max} calls of yours are waiting for answers, as many as may be at once. Try again in ${RETRY_AFTER_SECONDS} s.`,
    { retryAfterSeconds: RETRY_AFTER_SECONDS, details: { limited_by: 'gateway' } },
  )
