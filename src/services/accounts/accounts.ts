import type { Claude } from '../../claude/client.ts'
import { refuseAdminKey } from '../../claude/key-proof.ts'
import type { Passwords } from '../../crypto/passwords.ts'
import { generatePassword, newId } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import type { InTransaction, Repositories, Transact } from '../../repositories/index.ts'
import type { OpenInvitation } from '../../repositories/teams/invitations.ts'
import { actorOf } from '../access/actor.ts'
import {
  holdSession,
  holdSessions,
  type PasswordProof,
  wrongCredentials,
} from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import { checkChosenPassword, checked, Email, Username, wrongField } from '../access/field-rules.ts'
import type { InstallationRoles } from '../access/installation-roles.ts'
import {
  type BrowserSecret,
  hashOf,
  type IssuedToken,
  newBrowserSecret,
  type SessionService,
} from '../access/sessions.ts'
import { type AuditActor, OPERATOR, SYSTEM } from '../audit/audit-actor.ts'
import type { AuditDetail, AuditLog, AuditTransaction } from '../audit/audit-log.ts'
import type { Vault } from '../keys/vault.ts'
import { type Invitations, noInvitation } from '../teams/invitations.ts'
import { adminStays, emailTaken, usernameTaken } from './account-errors.ts'
import type { AccountDeletion, Deleted, DeletionOptions } from './deletion.ts'
import type { FormerAccounts } from './former-accounts.ts'
import type { PasswordCheck } from './password-check.ts'

export type Registration = { username: string; email: string; apiKey: string }
export type SignUp = {
  username: string
  email: string
  password: string
  /** The secret of an invitation, which allows it while registration is closed. */
  invitation?: string | undefined
}

type Deps = {
  repositories: Pick<Repositories, 'apiKeys' | 'users'>
  transact: Transact<
    | 'apiKeys'
    | 'auditEvents'
    | 'authority'
    | 'budgets'
    | 'formerAccounts'
    | 'invitations'
    | 'oneTimeLinks'
    | 'sessions'
    | 'teamMembers'
    | 'teams'
    | 'users'
  >
  claude: Pick<Claude, 'proveKey'>
  passwords: Passwords
  passwordCheck: PasswordCheck
  deletion: AccountDeletion
  formerAccounts: FormerAccounts
  sessions: SessionService
  audit: Pick<AuditLog, 'record'>
  vault: Vault
  invitations: Pick<Invitations, 'look' | 'recordAccepted' | 'redeem'>
  roles: InstallationRoles
  registrationOpen: boolean
  validateApiKeys: boolean
}

/** Stands for the network of a caller that names none. */
const NOWHERE = 'nowhere'

type NewUser = {
  username: string
  email: string
  password: string
  apiKey?: string
  invitation?: string | undefined
}

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
   * Stores a new user with a password of their choice, and no Anthropic key yet; with an invitation
   * also in the team that it is to.
   *
   * @throws AppError invalid_input, registration_closed, username_taken, email_taken; not_found for
   *   an invitation that cannot be used, or not by this name and address.
   */
  async signUp(wanted: SignUp, from?: string): Promise<PasswordProof> {
    const username = checked(Username, wanted.username, 'username')
    const email = checked(Email, wanted.email, 'email')
    const { invitation } = wanted
    const invited =
      invitation === undefined ? undefined : await this.#deps.invitations.look(invitation)
    if (invitation !== undefined && invited === undefined) throw noInvitation()
    await this.#refuseRegistration(username, email, invited)
    const owner = { username, email }
    const password = await checkChosenPassword(wanted.password, owner, 'password')
    return this.#insert({ username, email, password, invitation }, from)
  }

  /**
   * Stores a new user for the operator, without a key, also while registration is closed.
   *
   * @returns the generated password; it is hashed here and cannot be shown again.
   * @throws AppError invalid_input, username_taken, email_taken.
   */
  async add(wanted: Pick<SignUp, 'username' | 'email'>, by: AuditActor = OPERATOR) {
    const username = checked(Username, wanted.username, 'username')
    const email = checked(Email, wanted.email, 'email')
    const password = generatePassword()
    await this.#insert({ username, email, password }, undefined, by)
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
    const network = from === NOWHERE ? null : from
    return { userId: user.id, passwordHash: user.passwordHash, network }
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
    if (!user) throw wrongPassword('current_password')
    await checkChosenPassword(newPassword, user, 'new_password')
    if (newPassword === currentPassword) throw wrongField('new_password', 'must be a new one')
    const passwordHash = await this.#deps.passwords.hash(newPassword, userId)
    return this.#deps.transact(async ({ authority, users, sessions, auditEvents }) => {
      await authority.lockEntrance(userId)
      await holdSessions({ authority }, caller, 'all')
      const isCurrent = await users.replacePasswordHash(userId, user.passwordHash, passwordHash)
      if (!isCurrent) throw wrongPassword('current_password')
      const endedSessions = await sessions.revokeAll(userId, sessionId)
      const renewed = kind === 'browser' ? await renewBrowser(sessions, sessionId) : null
      await this.#record({ auditEvents }, 'password.changed', caller, { sessions: endedSessions })
      return { endedSessions, renewed }
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
    await this.#deps.transact(async (repositories) => {
      const { authority, apiKeys, oneTimeLinks, users } = repositories
      await holdSession({ authority }, caller, ['account'], { mustBeProven: true })
      if (link !== undefined && !(await oneTimeLinks.use(hashOf(link), userId, 'key')))
        throw linkUsed()
      const vault = this.#deps.vault.openUser(userId, await users.getDataKey(userId))
      const lastFour = apiKey.slice(-4)
      await apiKeys.put({ userId, sealed: vault.sealApiKey(apiKey), lastFour })
      await this.#record(repositories, 'key.set', caller, { lastFour })
    })
  }

  /**
   * Running answers continue with the removed key.
   *
   * @returns false when the caller had none.
   * @throws AppError unauthenticated.
   */
  async removeKey(caller: Caller): Promise<boolean> {
    return this.#deps.transact(async ({ authority, apiKeys, auditEvents }) => {
      await holdSession({ authority }, caller, ['account'])
      const isRemoved = await apiKeys.delete(caller.userId)
      if (isRemoved) await this.#record({ auditEvents }, 'key.removed', caller)
      return isRemoved
    })
  }

  /**
   * Deletes the caller's account permanently.
   *
   * @throws AppError forbidden for a name in ADMIN_USERNAMES and for the last owner of a team;
   *   unauthenticated; rate_limited; overloaded;
   *   invalid_credentials (a failed sign-in); conversation_busy when an answer cannot be stopped.
   */
  async delete(caller: Caller, password: string, options: DeletionOptions = {}): Promise<Deleted> {
    if (this.#deps.roles.isListed(caller.username)) throw adminStays('owner')
    await this.#deps.sessions.prove(caller, await this.#checkOwnPassword(caller, password))
    return this.#deps.deletion.run(caller, options)
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
    if (user?.id !== userId) throw wrongPassword('password')
    return user
  }

  async #refuseRegistration(
    username: string,
    email: string,
    invited?: OpenInvitation,
  ): Promise<void> {
    if (!this.#deps.registrationOpen && invited === undefined) {
      throw new AppError('registration_closed', 'Registration is closed. Ask the operator.')
    }
    if (this.#deps.roles.isListed(username) && !isForName(invited, username)) throw usernameTaken()
    const { users } = this.#deps.repositories
    const taken = await users.findTaken(username.toLowerCase(), email.toLowerCase())
    if (taken.username) throw usernameTaken()
    if (taken.email) throw emailTaken()
  }

  async #insert(
    { username, email, password, apiKey, invitation }: NewUser,
    from?: string,
    by: AuditActor = OPERATOR,
  ): Promise<PasswordProof> {
    const passwordHash = await this.#deps.passwords.hash(password, from)
    const id = newId()
    const { wrapped: dataKey, vault } = this.#deps.vault.createUserKey(id)
    const names = { usernameKey: username.toLowerCase(), emailKey: email.toLowerCase() }
    await this.#deps.transact(async (repositories) => {
      const { users, apiKeys } = repositories
      const outcome = await users.insert({ id, username, email, ...names, passwordHash, dataKey })
      if (outcome === 'username_taken') throw usernameTaken()
      if (outcome === 'email_taken') throw emailTaken()
      await this.#deps.formerAccounts.restore(repositories, id, names)
      if (apiKey !== undefined) {
        const sealed = vault.sealApiKey(apiKey)
        await apiKeys.put({ userId: id, sealed, lastFour: apiKey.slice(-4) })
      }
      const invitee = { userId: id, ...names }
      const accepted =
        invitation === undefined
          ? null
          : await this.#deps.invitations.redeem(repositories, invitation, invitee)
      const actor: AuditActor =
        from === undefined ? by : { ...SYSTEM, kind: 'user', addressPrefix: from }
      const target = { kind: 'user', id }
      await this.#deps.audit.record(repositories, { action: 'user.added', actor, target })
      if (accepted === null) return
      await this.#deps.invitations.recordAccepted(repositories, accepted, invitee, actor)
    })
    return { userId: id, passwordHash, network: from ?? null }
  }

  async #record(
    transaction: AuditTransaction,
    action: string,
    caller: Caller,
    detail?: AuditDetail,
  ): Promise<void> {
    const target = { kind: 'user', id: caller.userId }
    await this.#deps.audit.record(transaction, {
      action,
      actor: actorOf(caller),
      target,
      ...(detail && { detail }),
    })
  }

  async #proveKey(apiKey: string): Promise<void> {
    refuseAdminKey(apiKey)
    if (this.#deps.validateApiKeys) await this.#deps.claude.proveKey(apiKey)
  }
}

/** Who may take a name in ADMIN_USERNAMES is decided by the operator alone. */
const isForName = (invited: OpenInvitation | undefined, username: string) =>
  invited?.isOperators === true && invited.usernameKey === username.toLowerCase()

async function renewBrowser(
  sessions: Pick<InTransaction['sessions'], 'renewSecret'>,
  sessionId: string,
): Promise<BrowserSecret> {
  const secret = newBrowserSecret()
  return { secret, expiresAt: await sessions.renewSecret(sessionId, hashOf(secret)) }
}

const linkUsed = () =>
  new AppError(
    'forbidden',
    'This link has been used, or has expired. Nothing was stored: ask for a new one, or open the page without it.',
  )

/** @param field the argument of the tool; pages say it beside their own. */
const wrongPassword = (field: string) =>
  new AppError('invalid_credentials', 'The password is wrong.', { details: { field } })
