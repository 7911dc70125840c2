import { AppError } from '../errors.ts'
import { isDeadlock } from '../repositories/erasure.ts'
import type { Repositories, Transact } from '../repositories/index.ts'
import type { AnswerService } from './answers.ts'
import type { FormerAccounts } from './former-accounts.ts'
import type { Caller } from './sessions.ts'

type Deps = {
  repositories: Pick<Repositories, 'erasure' | 'sessions'>
  transact: Transact
  answers: Pick<AnswerService, 'cancel'>
  formerAccounts: FormerAccounts
}

type Erased = Pick<Caller, 'userId'> & Partial<Pick<Caller, 'sessionId'>>

/** Each waits some seconds for running answers: together longer than a dead process's lease. */
const ATTEMPTS = 4

/**
 * Erasing a user. Their data keys go with the rows, so that what was sealed under them cannot be
 * read again; a backup that was made before keeps both. What stays is the ledger, without labels, and
 * what a new account of the same name or address has spent already.
 */
export class AccountDeletion {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Ends the user's sessions, save the caller's if it is theirs, stops their running answers, whose
   * cost is still booked, and then deletes everything in one transaction; the last session ends with
   * that.
   *
   * @throws AppError conversation_busy when an answer cannot be stopped; nothing is deleted then.
   */
  async run({ userId, sessionId }: Erased): Promise<void> {
    await this.#deps.repositories.sessions.revokeAll(userId, sessionId)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await this.#stopAnswers(userId)
      if (await this.#deleteUnlessRunning(userId)) return
    }
    throw new AppError(
      'conversation_busy',
      'An answer is still being stopped. Nothing is deleted yet: try again.',
      { retryAfterSeconds: 15 },
    )
  }

  async #stopAnswers(userId: string): Promise<void> {
    const ids = await this.#deps.repositories.erasure.listRunning(userId)
    const { signal } = new AbortController()
    await Promise.all(ids.map((id) => this.#deps.answers.cancel({ userId }, id, signal)))
  }

  async #deleteUnlessRunning(userId: string): Promise<boolean> {
    const work = this.#deps.transact(async (repositories) => {
      const { erasure } = repositories
      const names = await erasure.lock(userId)
      if (names === undefined) return true
      if ((await erasure.listRunning(userId)).length > 0) return false
      await this.#deps.formerAccounts.remember(repositories, userId, names)
      await erasure.clearTags(userId)
      await erasure.deleteUser(userId)
      return true
    })
    // A send that was just beginning holds its conversation and waits for the user's row.
    return work.catch((error: unknown) => {
      if (isDeadlock(error)) return false
      throw error
    })
  }
}
