import { createHash } from 'node:crypto'
import type { Claude } from '../claude/client.ts'
import type { Passwords } from '../crypto/passwords.ts'
import { generatePassword, newId } from '../crypto/random.ts'
import { AppError } from '../errors.ts'
import type { Repositories, Transact } from '../repositories/index.ts'
import { emailTaken, usernameTaken } from '../repositories/users.ts'
import type { Caller, IssuedToken, SessionService } from './sessions.ts'
import type { Vault } from './vault.ts'

export type Registration = { username: string; email: string; apiKey: string }

type Deps = {
  repositories: Pick<Repositories, 'apiKeys' | 'users' | 'signInFailures'>
  transact: Transact
  claude: Pick<Claude, 'proveKey'>
  passwords: Passwords
  sessions: SessionService
  vault: Vault
  registrationOpen: boolean
  validateApiKeys: boolean
  /** Wrong passwords per account within FAILURE_WINDOW_SECONDS. */
  maxFailures: number
}

const FAILURE_WINDOW_SECONDS = 15 * 60

export class AccountService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Stores a new user and their Anthropic key, sealed. Nothing is stored unless all of it is good.
   *
   * @returns the generated password; it is hashed here and cannot be shown again.
   * @throws AppError registration_closed, username_taken, email_taken, invalid_api_key,
   *   upstream_unavailable.
   */
  async register({ username, email, apiKey }: Registration) {
    if (!this.#deps.registrationOpen) {
      throw new AppError('registration_closed', 'Registration is closed. Ask the operator.')
    }
    const usernameKey = username.toLowerCase()
    const emailKey = email.toLowerCase()
    await this.#refuseTaken(usernameKey, emailKey)
    await this.#proveKey(apiKey)

    const password = generatePassword()
    const passwordHash = await this.#deps.passwords.hash(password)
    const id = newId()
    const { wrapped: dataKey, vault } = this.#deps.vault.createUserKey(id)
    const sealed = vault.sealApiKey(apiKey)
    await this.#deps.transact(async ({ users, apiKeys }) => {
      await users.insert({ id, username, usernameKey, email, emailKey, passwordHash, dataKey })
      await apiKeys.put({ userId: id, sealed, lastFour: apiKey.slice(-4) })
    })
    return { userId: id, username, password }
  }

  /**
   * Replaces the caller's Anthropic key, after the same proof as at registration.
   *
   * @throws AppError invalid_api_key, upstream_unavailable; the old key then stays.
   */
  async replaceKey({ userId }: Caller, apiKey: string): Promise<void> {
    await this.#proveKey(apiKey)
    const { apiKeys, users } = this.#deps.repositories
    const vault = this.#deps.vault.openUser(userId, await users.getDataKey(userId))
    await apiKeys.put({ userId, sealed: vault.sealApiKey(apiKey), lastFour: apiKey.slice(-4) })
  }

  /**
   * Signs a user in. An unknown user and a wrong password get the same answer after the same work.
   *
   * The attempt is written down before the password is looked at, so that guesses made in
   * parallel count against one another.
   *
   * @throws AppError invalid_credentials, rate_limited (this account), overloaded.
   */
  async authenticate(username: string, password: string): Promise<IssuedToken> {
    const { users, signInFailures } = this.#deps.repositories
    const usernameKey = username.toLowerCase()
    const accountKey = createHash('sha256').update(usernameKey).digest('base64url')
    const user = await users.findByUsername(usernameKey)
    const attempt = await signInFailures.insert({ accountKey, userId: user?.id ?? null })
    const matches = await this.#checkPassword(user?.passwordHash, password, accountKey).catch(
      async (error: unknown) => {
        // Not looked at, so not a failure: refused attempts must not prolong the pause.
        await signInFailures.delete(attempt)
        throw error
      },
    )
    if (!matches || !user) {
      throw new AppError('invalid_credentials', 'Unknown user or wrong password.')
    }
    await signInFailures.delete(attempt)
    await signInFailures.forgive(accountKey)
    if (this.#deps.passwords.needsRehash(user.passwordHash)) {
      await users.updatePasswordHash(user.id, await this.#deps.passwords.hash(password))
    }
    return this.#deps.sessions.issue(user.id)
  }

  async #checkPassword(hash: string | undefined, password: string, accountKey: string) {
    await this.#refuseTooManyFailures(accountKey)
    return this.#deps.passwords.verify(hash, password)
  }

  async #refuseTaken(usernameKey: string, emailKey: string): Promise<void> {
    const taken = await this.#deps.repositories.users.findTaken(usernameKey, emailKey)
    if (taken.username) throw usernameTaken()
    if (taken.email) throw emailTaken()
  }

  async #proveKey(apiKey: string): Promise<void> {
    if (/^sk-ant-admin/i.test(apiKey)) {
      throw new AppError(
        'invalid_api_key',
        'This is an Admin API key; it cannot send messages. Use a key that begins with sk-ant-api.',
        { details: { field: 'anthropic_api_key' } },
      )
    }
    if (this.#deps.validateApiKeys) await this.#deps.claude.proveKey(apiKey)
  }

  async #refuseTooManyFailures(accountKey: string): Promise<void> {
    const { signInFailures } = this.#deps.repositories
    const recent = await signInFailures.countRecent(accountKey, FAILURE_WINDOW_SECONDS)
    if (recent.failures <= this.#deps.maxFailures) return
    const elapsedSeconds = (Date.now() - (recent.oldestAt?.getTime() ?? Date.now())) / 1000
    const retryAfterSeconds = Math.max(1, Math.ceil(FAILURE_WINDOW_SECONDS - elapsedSeconds))
    throw new AppError(
      'rate_limited',
      `Too many failed sign-ins for this account. Try again in ${retryAfterSeconds} s.`,
      { retryAfterSeconds },
    )
  }
}
