import { createHash } from 'node:crypto'
import type { Passwords } from '../../crypto/passwords.ts'
import { AppError } from '../../errors.ts'
import type { Repositories } from '../../repositories/index.ts'

type Deps = {
  repositories: Pick<Repositories, 'users' | 'signInFailures'>
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
    if (!matches || !user) return undefined
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

const accountKeyOf = (usernameKey: string) =>
  createHash('sha256').update(usernameKey).digest('base64url')
