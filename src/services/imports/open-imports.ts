import { AppError } from '../../errors.ts'

/** Each may hold a zip of 64 MiB, and an element of 32 MiB as text and as values. */
const MAX_AT_ONCE = 2
const RETRY_AFTER_SECONDS = 30

/** The imports that this process is reading: one a user. */
export class OpenImports {
  readonly #users = new Set<string>()

  /**
   * Runs the import, if it may begin.
   *
   * @throws AppError rate_limited while the user has another, overloaded while others have all places.
   */
  async run<T>(userId: string, work: () => Promise<T>): Promise<T> {
    if (this.#users.has(userId)) throw refused('rate_limited', 'You have an import under way.')
    if (this.#users.size >= MAX_AT_ONCE)
      throw refused('overloaded', 'Too many imports are under way.')
    this.#users.add(userId)
    try {
      return await work()
    } finally {
      this.#users.delete(userId)
    }
  }
}

const refused = (code: 'rate_limited' | 'overloaded', why: string) =>
  new AppError(code, `${why} Try again in ${RETRY_AFTER_SECONDS} s.`, {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
    details: { limited_by: 'gateway' },
  })
