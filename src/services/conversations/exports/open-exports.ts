import { AppError } from '../../../errors.ts'

const MAX_PER_USER = 2
/** Each export holds a page of messages as stored, and the same page as JSON. */
const MAX_AT_ONCE = 16
const RETRY_AFTER_SECONDS = 30

/** The exports that this process is streaming. */
export class OpenExports {
  readonly #byUser = new Map<string, number>()
  #all = 0

  /** @throws AppError rate_limited above the user's share, overloaded above the total. */
  begin(userId: string): void {
    const own = this.#byUser.get(userId) ?? 0
    if (own >= MAX_PER_USER) throw refused('rate_limited', 'You have two exports under way.')
    if (this.#all >= MAX_AT_ONCE) throw refused('overloaded', 'Too many exports are under way.')
    this.#byUser.set(userId, own + 1)
    this.#all += 1
  }

  end(userId: string): void {
    const own = this.#byUser.get(userId) ?? 0
    if (own > 1) this.#byUser.set(userId, own - 1)
    else this.#byUser.delete(userId)
    this.#all -= 1
  }
}

const refused = (code: 'rate_limited' | 'overloaded', why: string) =>
  new AppError(code, `${why} Try again in ${RETRY_AFTER_SECONDS} s.`, {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
    details: { limited_by: 'gateway' },
  })
