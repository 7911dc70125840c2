import { AppError } from '../../errors.ts'
import { isDeadlock } from '../../repositories/accounts/erasure.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import { holdSessions } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import type { AnswerService } from '../turns/follow-answer.ts'
import type { FormerAccounts } from './former-accounts.ts'

type Deps = {
  repositories: Pick<Repositories, 'erasure'>
  transact: Transact
  answers: Pick<AnswerService, 'stop'>
  formerAccounts: FormerAccounts
}

/** Whose account, and by which session, unless the operator asks. */
type Erased = Pick<Caller, 'userId' | 'sessionId' | 'kind'> | { userId: string }

/** Each waits some seconds for running answers: in all longer than a dead process's lease. */
const ATTEMPTS = 4

/**
 * Erases a user. Their data keys go with the rows, so that what was sealed under them cannot be
 * decrypted again; an earlier backup still has both. What stays is the ledger, without labels, and
 * the spending that a new account of the same name or address takes over.
 */
export class AccountDeletion {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Ends the user's other sessions, stops their running answers, whose cost is still booked, and
   * then deletes everything in one transaction, which also ends the caller's own session.
   *
   * @throws AppError conversation_busy when an answer cannot be stopped, unauthenticated when the
   *   caller's session has ended, proof_required; nothing is deleted then.
   */
  async run(erased: Erased): Promise<void> {
    const { userId } = erased
    await this.#endOtherSessions(erased)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await this.#stopAnswers(userId)
      if (await this.#deleteUnlessRunning(erased)) return
    }
    throw new AppError(
      'conversation_busy',
      'An answer is still being stopped. Nothing is deleted yet: try again.',
      { retryAfterSeconds: 15 },
    )
  }

  async #endOtherSessions(erased: Erased): Promise<void> {
    await this.#deps.transact(async ({ authority, sessions }) => {
      await holdAll({ authority }, erased)
      await sessions.revokeAll(erased.userId, 'sessionId' in erased ? erased.sessionId : undefined)
    })
  }

  async #stopAnswers(userId: string): Promise<void> {
    const ids = await this.#deps.repositories.erasure.listRunning(userId)
    await Promise.all(ids.map((id) => this.#deps.answers.stop(userId, id)))
  }

  async #deleteUnlessRunning(erased: Erased): Promise<boolean> {
    const { userId } = erased
    const work = this.#deps.transact(async (repositories) => {
      const { erasure } = repositories
      // From here on no turn can begin: each one locks the session that asks for it.
      await holdAll(repositories, erased)
      const names = await erasure.lock(userId)
      if (names === undefined) return true
      if ((await erasure.listRunning(userId)).length > 0) return false
      await this.#deps.formerAccounts.remember(repositories, userId, names)
      await erasure.takeAllTime()
      await erasure.clearTags(userId)
      await erasure.deleteUser(userId)
      return true
    })
    // A send of an older build locks its conversation first and then waits for the user's row.
    return work.catch((error: unknown) => {
      if (isDeadlock(error)) return false
      throw error
    })
  }
}

/** Locks all sessions of the user, and keeps new ones from beginning. */
async function holdAll({ authority }: Pick<Repositories, 'authority'>, erased: Erased) {
  await authority.lockEntrance(erased.userId)
  if ('sessionId' in erased) {
    await holdSessions({ authority }, erased, 'all', { mustBeProven: true })
  } else await authority.lockLive(erased.userId)
}
