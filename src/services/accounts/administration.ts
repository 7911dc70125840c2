/** The operator's actions on other people's accounts, which have no caller. */

import type { Passwords } from '../../crypto/passwords.ts'
import { generatePassword } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import type { AccountService } from './accounts.ts'
import type { AccountDeletion } from './deletion.ts'
import type { PasswordCheck } from './password-check.ts'

type Deps = {
  repositories: Pick<Repositories, 'users'>
  transact: Transact
  accounts: Pick<AccountService, 'add'>
  deletion: AccountDeletion
  passwords: Passwords
  passwordCheck: PasswordCheck
  /** Lower case. */
  adminUsernames: readonly string[]
}

export class UserAdministration {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Stores a new user, also while registration is closed.
   *
   * @returns the generated password, which cannot be shown again.
   * @throws AppError invalid_input, username_taken, email_taken.
   */
  async add(wanted: { username: string; email: string }) {
    return this.#deps.accounts.add(wanted)
  }

  /** Users by name, after one (which need not exist); `next`: the name to continue after. */
  async list({ after, limit }: { after: string; limit: number }) {
    const users = await this.#deps.repositories.users.list(after.toLowerCase(), limit + 1)
    const page = users.slice(0, limit)
    return { users: page, next: users.length > limit ? page.at(-1)?.username : undefined }
  }

  /**
   * Replaces the password and ends every session; earlier wrong attempts no longer count.
   *
   * @returns the generated password, which cannot be shown again, and how many sessions ended.
   * @throws AppError not_found.
   */
  async resetPassword(name: string) {
    const { id, username } = await this.#find(name)
    const password = generatePassword()
    const passwordHash = await this.#deps.passwords.hash(password)
    const ended = await this.#deps.transact(async ({ authority, users, sessions }) => {
      await authority.lockEntrance(id)
      await authority.lockLive(id)
      await users.putPasswordHash(id, passwordHash)
      return sessions.revokeAll(id)
    })
    await this.#deps.passwordCheck.forgive(username)
    return { username, password, ended }
  }

  /** Ends every session, connection and token. @throws AppError not_found. */
  async signOut(name: string) {
    const { id, username } = await this.#find(name)
    const ended = await this.#deps.transact(async ({ authority, sessions }) => {
      await authority.lockEntrance(id)
      await authority.lockLive(id)
      return sessions.revokeAll(id)
    })
    return { username, ended }
  }

  /**
   * Deletes an account permanently.
   *
   * @throws AppError not_found; forbidden for an admin; conversation_busy when a running answer
   *   cannot be stopped.
   */
  async delete(name: string) {
    const { id: userId, username } = await this.#find(name)
    if (this.#deps.adminUsernames.includes(username.toLowerCase())) throw adminStays()
    await this.#deps.deletion.run({ userId })
    return { username }
  }

  async #find(name: string) {
    const user = await this.#deps.repositories.users.findByUsername(name.toLowerCase())
    if (user) return user
    throw new AppError('not_found', 'There is no user with this name.', {
      details: { field: 'username' },
    })
  }
}

const adminStays = () =>
  new AppError(
    'forbidden',
    'This name is in ADMIN_USERNAMES, and would make an admin of whoever takes it next. Take it out there first.',
  )
