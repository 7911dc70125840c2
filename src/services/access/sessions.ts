import { createHash } from 'node:crypto'
import { newId, newToken } from '../../crypto/random.ts'
import type { AccessTokens } from '../../crypto/tokens.ts'
import { AppError, isDatabaseGone } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Count, UserCounter } from '../../repositories/access/session-checks.ts'
import type { ProvenSession, SessionKind } from '../../repositories/access/sessions.ts'
import { periodsAt } from '../../repositories/billing/periods.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import { visibleName } from '../../text/visible-name.ts'
import {
  holdSessions,
  type PasswordProof,
  proofRequired,
  sessionEnded,
  wrongCredentials,
} from './authority.ts'
import type { Caller } from './caller.ts'
import { ALL_SCOPES, isScope, requireScopes, type Scope } from './scopes.ts'
import { type CheckedSession, SessionChecks } from './session-lookup.ts'

export type IssuedToken = { accessToken: string; expiresAt: Date; userId: string }

/** The new secret of a browser's session. */
export type BrowserSecret = { secret: string; expiresAt: Date }

export type ListedSession = {
  id: string
  kind: SessionKind
  /** Of the client, the personal token or the browser. */
  name: string | null
  clientId: string | null
  scopes: readonly Scope[]
  /** The most it may spend a month (UTC); null: no limit of its own. */
  limitNanoUsd: bigint | null
  createdAt: Date
  expiresAt: Date
  /** Accurate to about five minutes. */
  lastUsedAt: Date | null
  isCurrent: boolean
  /** This month (UTC); null without a limit. */
  spentNanoUsd: bigint | null
}

/** The two ways in which a token of /mcp names its session. */
type TokenChecks = { signed: SessionChecks; personal: SessionChecks }

const MAX_LISTED = 1000

/** Lets secret scanners and people recognise a personal token. */
export const PERSONAL_TOKEN_PREFIX = 'cag'

type Deps = {
  repositories: Pick<Repositories, 'sessions' | 'sessionChecks'>
  transact: Transact
  tokens: AccessTokens
  /** Where requests with a token of /mcp are counted; null: not in the database. */
  userCounter: UserCounter | null
  sessionSeconds: number
  /** Lower case. */
  adminUsernames: readonly string[]
  log: Logger
}

/**
 * Everything that acts for a user: tokens of authenticate_user, OAuth connections, personal tokens
 * and browser sessions. Each is a database row, which is checked on every request.
 */
export class SessionService {
  readonly #deps: Deps
  readonly #checks: TokenChecks
  readonly #counting: TokenChecks
  readonly #browserChecks: SessionChecks

  constructor(deps: Deps) {
    this.#deps = deps
    const { repositories, userCounter } = deps
    const checks = (counter: UserCounter | null) => new SessionChecks(repositories, counter)
    this.#checks = { signed: checks(null), personal: checks(null) }
    this.#counting = { signed: checks(userCounter), personal: checks(userCounter) }
    this.#browserChecks = checks(null)
  }

  /** @throws AppError invalid_credentials when the password was changed since it was checked. */
  async issue(proof: PasswordProof): Promise<IssuedToken> {
    const session = this.#newSession(proof.userId)
    await this.#begin({ ...session, kind: 'password', name: null, tokenHash: null }, proof)
    return this.#sign(session)
  }

  /**
   * The caller behind an access token of /mcp, signed or personal.
   *
   * @throws AppError unauthenticated for a token that is malformed, expired or revoked.
   */
  async resolve(accessToken: string): Promise<Caller> {
    return (await this.#resolve(accessToken, this.#checks)).caller
  }

  /**
   * The same, and counts the request for its user.
   *
   * @returns a null count where the database keeps none.
   */
  async resolveAndCount(accessToken: string): Promise<{ caller: Caller; count: Count | null }> {
    return this.#resolve(accessToken, this.#counting)
  }

  /**
   * Begins a session of the pages.
   *
   * @param name of the browser, shown to its user.
   * @returns the secret for its cookie.
   * @throws AppError invalid_credentials when the password has been changed since it was checked.
   */
  async beginBrowserSession(
    proof: PasswordProof,
    expiresAt: Date,
    name: string | null = null,
  ): Promise<string> {
    const secret = newBrowserSecret()
    const { userId } = proof
    const tokenHash = hashOf(secret)
    await this.#begin({ id: newId(), userId, kind: 'browser', name, tokenHash, expiresAt }, proof)
    return secret
  }

  /**
   * Records that the caller's password was given again, which is valid for 10 minutes.
   *
   * @throws AppError unauthenticated when the session has ended or the password was changed since.
   */
  async prove(
    { sessionId: id, userId, kind }: Caller,
    { passwordHash }: Pick<PasswordProof, 'passwordHash'>,
  ) {
    const { sessions } = this.#deps.repositories
    const expiresAt = await sessions.prove({ id, userId }, passwordHash)
    if (expiresAt === undefined) throw sessionEnded([kind])
  }

  /**
   * The same for a browser's session, which also gets a new secret: a copy of the old one must not
   * profit from the password (OWASP ASVS 5.0, 7.2.4).
   *
   * @throws AppError unauthenticated like {@link prove}.
   */
  async proveBrowser(
    { sessionId: id, userId }: Caller,
    { passwordHash }: Pick<PasswordProof, 'passwordHash'>,
  ): Promise<BrowserSecret> {
    const secret = newBrowserSecret()
    const { sessions } = this.#deps.repositories
    const expiresAt = await sessions.prove({ id, userId }, passwordHash, hashOf(secret))
    if (expiresAt === undefined) throw sessionEnded(['browser'])
    return { secret, expiresAt }
  }

  /**
   * For reads and for early checks; a write locks the session instead (authority.ts).
   *
   * @throws AppError proof_required for a browser whose user has not given the password recently,
   *   unauthenticated for one whose session has ended.
   */
  async requireProof({ sessionId, userId, kind }: Caller): Promise<void> {
    if (kind !== 'browser') return
    const isProven = await this.#deps.repositories.sessions.isProven(sessionId, userId)
    if (isProven === undefined) throw sessionEnded([kind])
    if (!isProven) throw proofRequired()
  }

  /** The caller behind a cookie of the pages; undefined when it is no longer valid. */
  async findBrowserSession(secret: string): Promise<Caller | undefined> {
    const checked = await this.#browserChecks.find({ tokenHash: hashOf(secret) })
    return checked?.session.kind === 'browser' ? this.#toCaller(checked) : undefined
  }

  /**
   * Checks the session again after a wait, before the result is handed out.
   *
   * @throws AppError unauthenticated when the caller's session has ended meanwhile;
   *   insufficient_scope when it has been approved again without one of these permissions.
   */
  async confirm(caller: Caller, needed: readonly Scope[]): Promise<void> {
    const { sessionId: id, userId, kind } = caller
    const checked = await this.#checks.signed.find({ id, userId })
    if (!checked) throw sessionEnded([kind])
    const { scopes } = checked.session
    if (scopes !== null) requireScopes(scopes.filter(isScope), needed)
  }

  /** Whether the caller's session is still live. */
  async isLive({ sessionId: id, userId }: Caller): Promise<boolean> {
    return (await this.#checks.signed.find({ id, userId })) !== undefined
  }

  /**
   * Replaces the caller's token; the old one ends in the same transaction.
   *
   * @throws AppError unauthenticated when it had already ended: one of concurrent rotations wins;
   *   invalid_input for a token that is not authenticate_user's.
   */
  async rotate(caller: Caller): Promise<IssuedToken> {
    if (caller.kind !== 'password') throw notRotatable(caller.kind)
    const session = this.#newSession(caller.userId)
    await this.#deps.transact(async ({ authority, sessions }) => {
      await authority.lockEntrance(caller.userId)
      if (!(await sessions.revoke(caller.sessionId, caller.userId))) throw sessionEnded()
      await sessions.insert(session)
    })
    return this.#sign(session)
  }

  /** Ends the caller's session. @returns whether it was still live. */
  async revoke(caller: Caller): Promise<boolean> {
    return this.#deps.repositories.sessions.revoke(caller.sessionId, caller.userId)
  }

  /**
   * Ends all of the user's sessions, including those that one of them is just creating.
   *
   * @returns how many ended.
   * @throws AppError unauthenticated when the caller's session had already ended.
   */
  async revokeAll(caller: Caller): Promise<number> {
    return this.#deps.transact(async ({ authority, sessions }) => {
      await authority.lockEntrance(caller.userId)
      await holdSessions({ authority }, caller, 'all')
      return sessions.revokeAll(caller.userId)
    })
  }

  /** The caller's live sessions of every kind, the newest first. */
  async list(caller: Caller, limit = MAX_LISTED): Promise<ListedSession[]> {
    const { sessions } = this.#deps.repositories
    const { month } = periodsAt(new Date())
    const [rows, spending] = await Promise.all([
      sessions.listLive(caller.userId, limit),
      sessions.listSpending(caller.userId, month),
    ])
    const spent = new Map(spending.map((row) => [row.sessionId, BigInt(row.spentNanoUsd)]))
    return rows.map(({ name, limitNanoUsd, scopes, ...row }) => ({
      ...row,
      name: name === null ? null : (visibleName(name) ?? null),
      scopes: scopes === null ? ALL_SCOPES : scopes.filter(isScope),
      limitNanoUsd: limitNanoUsd === null ? null : BigInt(limitNanoUsd),
      spentNanoUsd: limitNanoUsd === null ? null : (spent.get(row.id) ?? 0n),
      isCurrent: row.id === caller.sessionId,
    }))
  }

  /**
   * Ends one of the caller's sessions.
   *
   * @returns false when the caller has no such live session.
   * @throws AppError unauthenticated when the caller's own session had already ended.
   */
  async revokeOne(caller: Caller, id: string): Promise<boolean> {
    return this.#deps.transact(async ({ authority, sessions }) => {
      // A token may always revoke itself.
      const needed: Scope[] = id === caller.sessionId ? [] : ['account']
      const isLive = await holdSessions({ authority }, caller, [id], { needed })
      return isLive(id) && sessions.revoke(id, caller.userId)
    })
  }

  /** Stores the capability of the caller's client, for requests that do not declare it again. */
  async noteElicitsUrls({ sessionId }: Caller, elicitsUrls: boolean): Promise<void> {
    await this.#deps.repositories.sessions.updateElicitsUrls(sessionId, elicitsUrls)
  }

  /** Whether the caller's client declared that it opens links for its user. */
  async elicitsUrls({ sessionId }: Caller): Promise<boolean> {
    return this.#deps.repositories.sessions.elicitsUrls(sessionId)
  }

  async #resolve(accessToken: string, { signed, personal }: TokenChecks) {
    if (accessToken.startsWith(`${PERSONAL_TOKEN_PREFIX}_`)) {
      return this.#live(await personal.find({ tokenHash: hashOf(accessToken) }), ['personal'])
    }
    const { sessionId: id, userId, scope } = await this.#deps.tokens.verify(accessToken)
    const live = this.#live(await signed.find({ id, userId }), ['password', 'connection'])
    if (scope === undefined) return live
    const named = scope.split(' ')
    const scopes = live.caller.scopes.filter((granted) => named.includes(granted))
    return { ...live, caller: { ...live.caller, scopes } }
  }

  #live(checked: CheckedSession | undefined, kinds: readonly SessionKind[]) {
    if (!checked || !kinds.includes(checked.session.kind)) throw sessionEnded(kinds)
    return { caller: this.#toCaller(checked), count: checked.count }
  }

  #toCaller({ session }: CheckedSession): Caller {
    if (session.isUseToBeNoted) this.#noteUse(session.id)
    const { id: sessionId, userId, username, usernameKey, kind } = session
    const isAdmin = this.#deps.adminUsernames.includes(usernameKey)
    const scopes = session.scopes === null ? ALL_SCOPES : session.scopes.filter(isScope)
    return { userId, username, sessionId, kind, scopes, isAdmin }
  }

  async #begin(session: ProvenSession, { passwordHash }: PasswordProof): Promise<void> {
    const isBegun = await this.#deps.repositories.sessions.insertProven(session, passwordHash)
    if (!isBegun) throw wrongCredentials()
  }

  /** Fire and forget: a failure is harmless. */
  #noteUse(id: string): void {
    this.#deps.repositories.sessions.noteUse(id).catch((err: unknown) => {
      if (!isDatabaseGone(err)) this.#deps.log.warn({ err }, 'the use of a session was not noted')
    })
  }

  #newSession(userId: string) {
    // Whole seconds, as in `exp`, so that the reported expiry is the token's.
    const now = Math.floor(Date.now() / 1000)
    return { id: newId(), userId, expiresAt: new Date((now + this.#deps.sessionSeconds) * 1000) }
  }

  async #sign(session: { id: string; userId: string; expiresAt: Date }): Promise<IssuedToken> {
    const { id: sessionId, userId, expiresAt } = session
    const accessToken = await this.#deps.tokens.sign({ userId, sessionId, expiresAt })
    return { accessToken, expiresAt, userId }
  }
}

export const newBrowserSecret = () => newToken('browser')

/** The stored form of a random secret. */
export const hashOf = (secret: string) => createHash('sha256').update(secret).digest()

const notRotatable = (kind: SessionKind) =>
  new AppError(
    'invalid_input',
    kind === 'personal'
      ? 'A personal access token cannot be rotated. Make a new one on the account page.'
      : 'Only tokens of authenticate_user can be rotated. A connected client refreshes its own.',
  )
