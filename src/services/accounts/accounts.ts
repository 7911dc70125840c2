import type { Claude } from '../../claude/client.ts'
import type { Passwords } from '../../crypto/passwords.ts'
import { generatePassword, newId } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import { emailTaken, usernameTaken } from '../../repositories/accounts/users.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import {
  holdSession,
  holdSessions,
  type PasswordProof,
  wrongCredentials,
} from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import { checkChosenPassword, checked, Email, Username, wrongField } from '../access/field-rules.ts'
import {
  type BrowserSecret,
  hashOf,
  type IssuedToken,
  newBrowserSecret,
  type SessionService,
} from '../access/sessions.ts'
import type { Vault } from '../keys/vault.ts'
import type { AccountDeletion } from './deletion.ts'
import type { FormerAccounts } from './former-accounts.ts'
import type { PasswordCheck } from './password-check.ts'

export type Registration = { username: string; email: string; apiKey: string }
export type SignUp = { username: string; email: string; password: string }

type Deps = {
  repositories: Pick<Repositories, 'apiKeys' | 'users'>
  transact: Transact
  claude: Pick<Claude, 'proveKey'>
  passwords: Passwords
  passwordCheck: PasswordCheck
  deletion: AccountDeletion
  formerAccounts: FormerAccounts
  sessions: SessionService
  vault: Vault
  registrationOpen: boolean
  validateApiKeys: boolean
}

/** Stands for the network of a caller that names none. */
const NOWHERE = 'nowhere'

type NewUser = { username: string; email: string; password: string; apiKey?: string }

export class AccountService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Stores a new user and their Anthropic key, sealed: both or neither.
   *
   * @returns the generated password; it is hashed here and cannot be shown again.
   * @throws AppError registration_closed, username_taken, email_taken, invalid_api_key,
   *   upstream_unavailable.
   */
  async register({ username, email, apiKey }: Registration, from?: string) {
    await this.#refuseRegistration(username, email)
    await this.#proveKey(apiKey)
    const password = generatePassword()
    const { userId } = await this.#insert({ username, email, apiKey, password }, from)
    return { userId, username, password }
  }

  /**
   * Stores a new user with a password of their choice, and no Anthropic key yet.
   *
   * @throws AppError invalid_input, registration_closed, username_taken, email_taken.
   */
  async signUp(wanted: SignUp, from?: string): Promise<PasswordProof> {
    const username = checked(Username, wanted.username, 'username')
    const email = checked(Email, wanted.email, 'email')
    await this.#refuseRegistration(username, email)
    const owner = { username, email }
    const password = await checkChosenPassword(wanted.password, owner, 'password')
    return this.#insert({ username, email, password }, from)
  }

  /**
   * Stores a new user for the operator, without a key, also while registration is closed.
   *
   * @returns the generated password; it is hashed here and cannot be shown again.
   * @throws AppError invalid_input, username_taken, email_taken.
   */
  async add(wanted: Pick<SignUp, 'username' | 'email'>) {
    const username = checked(Username, wanted.username, 'username')
    const email = checked(Email, wanted.email, 'email')
    const password = generatePassword()
    await this.#insert({ username, email, password })
    return { username, password }
  }

  /**
   * Signs a user in. An unknown user and a wrong password get the same answer after the same work.
   *
   * @throws AppError invalid_credentials, rate_limited (this account), overloaded.
   */
  async authenticate(username: string, password: string, from?: string): Promise<IssuedToken> {
    return this.#deps.sessions.issue(await this.checkPassword(username, password, from))
  }

  /**
   * The user with this username and password. Failures count against the account.
   *
   * @throws AppError invalid_credentials, rate_limited (this account), overloaded.
   */
  async checkPassword(username: string, password: string, from = NOWHERE): Promise<PasswordProof> {
    const user = await this.#deps.passwordCheck.findUser(username, password, from)
    if (!user) throw wrongCredentials(username)
    return { userId: user.id, passwordHash: user.passwordHash }
  }

  /**
   * Replaces the caller's password and ends all of the user's other sessions, including those that
   * the old password is just creating. A browser's session gets a new secret, so that copies of the
   * old one stop working.
   *
   * @returns how many sessions ended, and the new secret; null when the caller is not a browser.
   * @throws AppError unauthenticated, invalid_credentials (which counts as a failed sign-in),
   *   rate_limited, overloaded, invalid_input for the new one.
   */
  async changePassword(
    caller: Caller,
    { currentPassword, newPassword }: { currentPassword: string; newPassword: string },
  ): Promise<{ endedSessions: number; renewed: BrowserSecret | null }> {
    const { userId, username, sessionId, kind } = caller
    const user = await this.#deps.passwordCheck.findUser(username, currentPassword, userId)
    if (!user) throw wrongPassword()
    await checkChosenPassword(newPassword, user, 'new_password')
    if (newPassword === currentPassword) throw wrongField('new_password', 'must be a new one')
    const passwordHash = await this.#deps.passwords.hash(newPassword, userId)
    return this.#deps.transact(async ({ authority, users, sessions }) => {
      await authority.lockEntrance(userId)
      await holdSessions({ authority }, caller, 'all')
      const isCurrent = await users.replacePasswordHash(userId, user.passwordHash, passwordHash)
      if (!isCurrent) throw wrongPassword()
      const endedSessions = await sessions.revokeAll(userId, sessionId)
      if (kind !== 'browser') return { endedSessions, renewed: null }
      const secret = newBrowserSecret()
      const expiresAt = await sessions.renewSecret(sessionId, hashOf(secret))
      return { endedSessions, renewed: { secret, expiresAt } }
    })
  }

  /** The status of a user's stored Anthropic key; null when there is none. */
  async keyStatus(userId: string) {
    return (await this.#deps.repositories.apiKeys.findStatus(userId)) ?? null
  }

  /**
   * Stores or replaces the caller's Anthropic key, after the same check as at registration.
   *
   * @param link the one-time link that led here; it is used up.
   * @throws AppError invalid_api_key, upstream_unavailable, unauthenticated, proof_required,
   *   forbidden for a link that is not the caller's or no longer valid; the old key then stays.
   */
  async replaceKey(caller: Caller, apiKey: string, link?: string): Promise<void> {
    const { userId } = caller
    await this.#deps.sessions.requireProof(caller)
    await this.#proveKey(apiKey)
    await this.#deps.transact(async ({ authority, apiKeys, oneTimeLinks, users }) => {
      await holdSession({ authority }, caller, ['account'], { mustBeProven: true })
      if (link !== undefined && !(await oneTimeLinks.use(hashOf(link), userId))) throw linkUsed()
      const vault = this.#deps.vault.openUser(userId, await users.getDataKey(userId))
      await apiKeys.put({ userId, sealed: vault.sealApiKey(apiKey), lastFour: apiKey.slice(-4) })
    })
  }

  /**
   * Running answers continue with the removed key.
   *
   * @returns false when the caller had none.
   * @throws AppError unauthenticated.
   */
  async removeKey(caller: Caller): Promise<boolean> {
    return this.#deps.transact(async ({ authority, apiKeys }) => {
      await holdSession({ authority }, caller, ['account'])
      return apiKeys.delete(caller.userId)
    })
  }

  /**
   * Deletes the caller's account permanently.
   *
   * @throws AppError forbidden for an admin; unauthenticated; rate_limited; overloaded;
   *   invalid_credentials (a failed sign-in); conversation_busy when an answer cannot be stopped.
   */
  async delete(caller: Caller, password: string): Promise<void> {
    // The next user of the freed name would be an admin, since ADMIN_USERNAMES still lists it.
    if (caller.isAdmin) throw adminStays()
    await this.#deps.sessions.prove(caller, await this.#checkOwnPassword(caller, password))
    await this.#deps.deletion.run(caller)
  }

  /**
   * Checks the caller's password again, for actions that require a recent password.
   *
   * @returns the new secret of the browser's session.
   * @throws AppError unauthenticated, invalid_credentials (which counts as a failed sign-in),
   *   rate_limited, overloaded.
   */
  async prove(caller: Caller, password: string): Promise<BrowserSecret> {
    return this.#deps.sessions.proveBrowser(caller, await this.#checkOwnPassword(caller, password))
  }

  async #checkOwnPassword({ userId, username }: Caller, password: string) {
    const user = await this.#deps.passwordCheck.findUser(username, password, userId)
    if (user?.id !== userId) throw wrongPassword()
    return user
  }

  async #refuseRegistration(username: string, email: string): Promise<void> {
    if (!this.#deps.registrationOpen) {
      throw new AppError('registration_closed', 'Registration is closed. Ask the operator.')
    }
    const { users } = this.#deps.repositories
    const taken = await users.findTaken(username.toLowerCase(), email.toLowerCase())
    if (taken.username) throw usernameTaken()
    if (taken.email) throw emailTaken()
  }

  async #insert(
    { username, email, password, apiKey }: NewUser,
    from?: string,
  ): Promise<PasswordProof> {
    const passwordHash = await this.#deps.passwords.hash(password, from)
    const id = newId()
    const { wrapped: dataKey, vault } = this.#deps.vault.createUserKey(id)
    const names = { usernameKey: username.toLowerCase(), emailKey: email.toLowerCase() }
    await this.#deps.transact(async (repositories) => {
      const { users, apiKeys } = repositories
      await users.insert({ id, username, email, ...names, passwordHash, dataKey })
      await this.#deps.formerAccounts.restore(repositories, id, names)
      if (apiKey === undefined) return
      const sealed = vault.sealApiKey(apiKey)
      await apiKeys.put({ userId: id, sealed, lastFour: apiKey.slice(-4) })
    })
    return { userId: id, passwordHash }
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
}

const adminStays = () =>
  new AppError(
    'forbidden',
    'Your name is in ADMIN_USERNAMES, and would make an admin of whoever registers it next. Have the operator take it out first.',
  )

const linkUsed = () =>
  new AppError(
    'forbidden',
    'This link has been used, or has expired. Nothing was stored: ask for a new one, or open the page without it.',
  )

const wrongPassword = () => new AppError('invalid_credentials', 'The password is wrong.')
