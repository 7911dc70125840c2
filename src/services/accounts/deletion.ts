import { AppError } from '../../errors.ts'
import { isDeadlock } from '../../repositories/accounts/erasure.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import { actorOf } from '../access/actor.ts'
import { holdSessions } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import type { AuditActor } from '../audit/audit-actor.ts'
import type { AuditLog, AuditTransaction } from '../audit/audit-log.ts'
import type { CallService } from '../billing/calls.ts'
import type { AnswerService } from '../turns/answers/follow-answer.ts'
import type { Departed, Departure } from './departure.ts'
import type { FormerAccounts } from './former-accounts.ts'

type Deps = {
  repositories: Pick<Repositories, 'erasure'>
  transact: Transact<
    | 'auditEvents'
    | 'authority'
    | 'budgets'
    | 'departures'
    | 'erasure'
    | 'formerAccounts'
    | 'ownership'
    | 'sessions'
    | 'teams'
  >
  audit: Pick<AuditLog, 'record'>
  answers: Pick<AnswerService, 'stop'>
  calls: Pick<CallService, 'stopAll'>
  formerAccounts: FormerAccounts
  departure: Pick<Departure, 'leave' | 'record'>
}

export type DeletionOptions = {
  /** Whether the texts of the user's messages in conversations of others are replaced. */
  isWithdrawing?: boolean | undefined
}

/** What became of what others take part in. */
export type Deleted = Pick<Departed, 'messagesLeft' | 'messagesWithdrawn'> & { handedOver: number }

const NOTHING_LEFT: Deleted = { messagesLeft: 0, messagesWithdrawn: 0, handedOver: 0 }

/** Whose account, and by which session of theirs, or which other person. */
type Erased =
  | Pick<Caller, 'userId' | 'sessionId' | 'kind' | 'network'>
  | { userId: string; by: AuditActor }

/** Each waits some seconds for running answers: in all longer than a dead process's lease. */
const ATTEMPTS = 4

/**
 * Erases a user. Their data keys go with the rows, so that what was sealed under them cannot be
 * decrypted again; an earlier backup still has both. What stays is the ledger, without labels, and
 * the spending that a new account of the same name or address takes over, what the user wrote in
 * conversations of others, and the conversations that their teams keep.
 */
export class AccountDeletion {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Ends the user's other sessions, stops their running answers and calls, whose cost is still
   * booked, and then deletes everything in one transaction, which also ends the caller's own session.
   *
   * @throws AppError forbidden for the last owner of a team; conversation_busy when an answer cannot be stopped, unauthenticated when the
   *   caller's session has ended, proof_required; nothing is deleted then.
   */
  async run(erased: Erased, options: DeletionOptions = {}): Promise<Deleted> {
    const { userId } = erased
    await this.#endOtherSessions(erased)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await this.#stopRunning(userId)
      const deleted = await this.#deleteUnlessRunning(erased, options)
      if (deleted !== 'running') return deleted
    }
    throw new AppError(
      'conversation_busy',
      'An answer is still being stopped. Nothing is deleted yet: try again.',
      { retryAfterSeconds: 15 },
    )
  }

  async #endOtherSessions(erased: Erased): Promise<void> {
    await this.#deps.transact(async ({ authority, sessions, teams }) => {
      await holdAll({ authority }, erased)
      await refuseLastOwner({ teams }, erased.userId)
      await sessions.revokeAll(erased.userId, 'sessionId' in erased ? erased.sessionId : undefined)
    })
  }

  async #stopRunning(userId: string): Promise<void> {
    const ids = await this.#deps.repositories.erasure.listRunning(userId)
    const answers = ids.map((id) => this.#deps.answers.stop(userId, id))
    await Promise.all([...answers, this.#deps.calls.stopAll(userId)])
  }

  async #deleteUnlessRunning(
    erased: Erased,
    { isWithdrawing = false }: DeletionOptions,
  ): Promise<Deleted | 'running'> {
    const { userId } = erased
    const work = this.#deps.transact(async (repositories): Promise<Deleted | 'running'> => {
      const { erasure } = repositories
      // From here on no turn can begin: each one locks the session that asks for it.
      await holdAll(repositories, erased)
      await refuseLastOwner(repositories, userId)
      const names = await erasure.lock(userId)
      if (names === undefined) return NOTHING_LEFT
      const running = [await erasure.listRunning(userId), await erasure.listCalls(userId)]
      if (running.flat().length > 0) return 'running'
      await this.#deps.formerAccounts.remember(repositories, userId, names)
      await erasure.takeAllTime()
      const departed = await this.#deps.departure.leave(repositories, userId, isWithdrawing)
      await erasure.clearTags(userId)
      await erasure.clearTraces(userId)
      await erasure.clearAlerts(userId)
      await erasure.deleteUser(userId)
      return this.#record(repositories, erased, departed)
    })
    // A send of an older build locks its conversation first and then waits for the user's row.
    return work.catch((error: unknown) => {
      if (isDeadlock(error)) return 'running' as const
      throw error
    })
  }

  async #record(
    repositories: AuditTransaction,
    erased: Erased,
    departed: Departed,
  ): Promise<Deleted> {
    const { userId } = erased
    const actor = 'sessionId' in erased ? actorOf(erased) : erased.by
    const { messagesLeft, messagesWithdrawn } = departed
    const deleted = { messagesLeft, messagesWithdrawn, handedOver: departed.handedOver.length }
    await this.#deps.audit.record(repositories, {
      action: 'user.deleted',
      actor,
      target: { kind: 'user', id: userId },
      detail: deleted,
    })
    await this.#deps.departure.record(repositories, userId, actor, departed)
    return deleted
  }
}

/** @throws AppError forbidden for the last owner of a team that is in use. */
async function refuseLastOwner({ teams }: Pick<Repositories, 'teams'>, userId: string) {
  const [name] = await teams.lockOwnedAlone(userId)
  if (name === undefined) return
  throw new AppError(
    'forbidden',
    `The team "${name}" would be left without an owner. Make another member its owner first, or archive it.`,
  )
}

/** Locks all sessions of the user, and keeps new ones from beginning. */
async function holdAll({ authority }: Pick<Repositories, 'authority'>, erased: Erased) {
  await authority.lockEntrance(erased.userId)
  if ('sessionId' in erased) {
    await holdSessions({ authority }, erased, 'all', { mustBeProven: true })
  } else await authority.lockLive(erased.userId)
}
