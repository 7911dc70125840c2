import { createHash } from 'node:crypto'
import type { Passwords } from '../../crypto/passwords.ts'
import { AppError } from '../../errors.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import { SYSTEM } from '../audit/audit-actor.ts'
import type { AuditLog } from '../audit/audit-log.ts'

type Deps = {
  repositories: Pick<Repositories, 'rateLimits' | 'signInFailures' | 'users'>
  transact: Transact<'auditEvents'>
  audit: Pick<AuditLog, 'record'>
  passwords: Passwords
  /** Wrong passwords per account within FAILURE_WINDOW_SECONDS. */
  maxFailures: number
}

type CheckedUser = { id: string; passwordHash: string }

const FAILURE_WINDOW_SECONDS = 15 * 60

/** Checks passwords for every entry point, so that all failures count together. */
export class PasswordCheck {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * The user, or undefined, after the same work, when there is none or the password is wrong.
   *
   * Records the attempt before it checks the password, so that parallel guesses count against one
   * another.
   *
   * @param from the fair-queue key for hashing: a network, or a user.
   * @throws AppError rate_limited (this account), overloaded.
   */
  async findUser(username: string, password: string, from: string) {
    const { users, signInFailures } = this.#deps.repositories
    const usernameKey = username.toLowerCase()
    const accountKey = accountKeyOf(usernameKey)
    // PostgreSQL text cannot contain NUL, so no user has such a name; the query would fail.
    const isName = !usernameKey.includes('\0')
    const user = isName ? await users.findByUsername(usernameKey) : undefined
    const attempt = await signInFailures.insert({ accountKey, userId: user?.id ?? null })
    const matches = await this.#verify(user?.passwordHash, password, { accountKey, from }).catch(
      async (error: unknown) => {
        // Not checked, so not a failure: refused attempts must not prolong the pause.
        await signInFailures.delete(attempt)
        throw error
      },
    )
    if (!matches || !user) {
      if (user) await this.#recordFailure(user.id, { attempt, accountKey, from })
      return undefined
    }
    const passwordHash = await this.#rehashed(user, password, from)
    if (passwordHash === undefined) return undefined
    await signInFailures.delete(attempt)
    await signInFailures.forgive(accountKey)
    return { ...user, passwordHash }
  }

  /** Earlier wrong passwords no longer pause the account; they stay for the security status. */
  async forgive(username: string): Promise<void> {
    await this.#deps.repositories.signInFailures.forgive(accountKeyOf(username.toLowerCase()))
  }

  /**
   * Of every first, fourth, sixteenth … wrong password in a quarter of an hour there is an event, so
   * that guessing shows and does not fill the audit log; and of the one that pauses the account. What
   * was tried as a name is not in it.
   */
  async #recordFailure(
    userId: string,
    { attempt, accountKey, from }: { attempt: string; accountKey: string; from: string },
  ): Promise<void> {
    const { signInFailures } = this.#deps.repositories
    const { failures } = await signInFailures.countRecent(accountKey, FAILURE_WINDOW_SECONDS)
    const isPausing = await this.#isPausing(attempt, accountKey)
    const actions = [
      ...(isPowerOfFour(failures) ? ['session.refused'] : []),
      ...(isPausing ? ['sign_in.locked'] : []),
    ]
    if (actions.length === 0) return
    await this.#deps.transact(async (repositories) => {
      for (const action of actions) {
        await this.#deps.audit.record(repositories, {
          action,
          actor: { ...SYSTEM, kind: 'user', addressPrefix: isNetwork(from) ? from : null },
          target: { kind: 'user', id: userId },
          detail: { failures },
        })
      }
    })
  }

  /**
   * Once in a window, by all replicas together: guessing that goes on pauses the account again and again.
   */
  async #isPausing(attempt: string, accountKey: string): Promise<boolean> {
    const { maxFailures, repositories } = this.#deps
    const { rateLimits, signInFailures } = repositories
    const failures = await signInFailures.countUpTo(attempt, FAILURE_WINDOW_SECONDS)
    if (failures !== maxFailures) return false
    const key = `sign-in-locked:${accountKey}`
    return (await rateLimits.take(key, FAILURE_WINDOW_SECONDS * 1000)).hits === 1
  }

  async #verify(
    hash: string | undefined,
    password: string,
    { accountKey, from }: { accountKey: string; from: string },
  ) {
    await this.#refuseTooManyFailures(accountKey)
    return this.#deps.passwords.verify(hash, password, from)
  }

  /**
   * Replaces a hash that was made with outdated parameters.
   *
   * @returns the current hash of the password; undefined when the password was changed meanwhile.
   */
  async #rehashed({ id, passwordHash }: CheckedUser, password: string, from: string) {
    const { passwords, repositories } = this.#deps
    if (!passwords.needsRehash(passwordHash)) return passwordHash
    const fresh = await passwords.hash(password, from)
    if (await repositories.users.replacePasswordHash(id, passwordHash, fresh)) return fresh
    // Another sign-in with the same password replaced the hash, or the password was changed.
    const current = await repositories.users.findPasswordHash(id)
    return (await passwords.verify(current, password, from)) ? current : undefined
  }

  async #refuseTooManyFailures(accountKey: string): Promise<void> {
    const { signInFailures } = this.#deps.repositories
    const recent = await signInFailures.countRecent(accountKey, FAILURE_WINDOW_SECONDS)
    if (recent.failures <= this.#deps.maxFailures) return
    const leftSeconds = FAILURE_WINDOW_SECONDS - recent.oldestSeconds
    const retryAfterSeconds = Math.max(1, Math.ceil(leftSeconds))
    throw new AppError(
      'rate_limited',
      `Too many failed sign-ins for this account. Try again in ${retryAfterSeconds} s.`,
      { retryAfterSeconds },
    )
  }
}

const isPowerOfFour = (count: number) => Number.isInteger(Math.log2(count) / 2)
/** Callers without a network are queued by their user's id, or by a word. */
const isNetwork = (from: string) => from.includes('/')

const accountKeyOf = (usernameKey: string) =>
  createHash('sha256').update(usernameKey).digest('base64url')
