import { createHash } from 'node:crypto'
import { newId, newToken } from '../../crypto/random.ts'
import type { AccessTokens } from '../../crypto/tokens.ts'
import { AppError, isDatabaseGone } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type {
  Count,
  LiveSession,
  SessionProof,
  UserCounter,
} from '../../repositories/access/session-checks.ts'
import type { SessionKind } from '../../repositories/access/sessions.ts'
import { periodsAt } from '../../repositories/billing/periods.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import { visibleName } from '../../text/visible-name.ts'
import type { AuditLog, AuditTransaction } from '../audit/audit-log.ts'
import { actorOf } from './actor.ts'
import { holdSessions, type PasswordProof, proofRequired, sessionEnded } from './authority.ts'
import { type BegunSession, beginSession, holdPassword } from './begin-session.ts'
import type { Caller } from './caller.ts'
import type { InstallationRoles } from './installation-roles.ts'
import { type Announced, ReadAhead } from './read-ahead.ts'
import { ALL_SCOPES, isScope, requireScopes, type Scope } from './scopes.ts'
import { type CheckedSession, isWellFormed, SessionChecks } from './session-lookup.ts'

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
  /** What a personal token may name at the Messages API; null: every model. */
  allowedModels: readonly string[] | null
  /** Names of the teams whose money a connection or personal token may spend. */
  payingTeams: readonly string[]
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

/** `scopes`: what the token names of its session's; undefined: all. */
export type NamedSession = {
  proof: SessionProof
  kinds: readonly SessionKind[]
  scopes: readonly string[] | undefined
}

type FoundSession = CheckedSession & { readAhead?: ReadAhead }
/** `readsAll`: whether the token has the scope to read all conversations of its user. */
type FindSession = (proof: SessionProof, readsAll: boolean) => Promise<FoundSession | undefined>

const MAX_LISTED = 1000

/** Where requests with a token are counted, by what they are for; null: not in the database. */
export type UserCounters = Record<'requests' | 'messages', Required<UserCounter>>

/** Lets secret scanners and people recognise a personal token. */
export const PERSONAL_TOKEN_PREFIX = 'cag'

type Deps = {
  repositories: Pick<Repositories, 'callerReads' | 'sessions' | 'sessionChecks'>
  transact: Transact<'auditEvents' | 'authority' | 'sessions' | 'users'>
  audit: Pick<AuditLog, 'record'>
  tokens: AccessTokens
  userCounters: UserCounters | null
  sessionSeconds: number
  roles: InstallationRoles
  log: Logger
}

/**
 * Everything that acts for a user: tokens of authenticate_user, OAuth connections, personal tokens
 * and browser sessions. Each is a database row, which is checked on every request.
 */
export class SessionService {
  readonly #deps: Deps
  readonly #checks: TokenChecks
  readonly #counting: Record<keyof UserCounters, TokenChecks>
  readonly #browserChecks: SessionChecks

  constructor(deps: Deps) {
    this.#deps = deps
    const { repositories, userCounters } = deps
    const checks = (counter: UserCounter | null) => new SessionChecks(repositories, counter)
    const tokenChecks = (counter: UserCounter | null) => ({
      signed: checks(counter),
      personal: checks(counter),
    })
    this.#checks = tokenChecks(null)
    this.#counting = {
      requests: tokenChecks(userCounters?.requests ?? null),
      messages: tokenChecks(userCounters?.messages ?? null),
    }
    this.#browserChecks = checks(null)
  }

  /** @throws AppError invalid_credentials when the password was changed since it was checked. */
  async issue(proof: PasswordProof): Promise<IssuedToken> {
    const session = this.#newSession()
    await this.#begin(proof, { ...session, kind: 'password' })
    return this.#sign(session, proof.userId)
  }

  /**
   * The caller behind an access token of /mcp, signed or personal.
   *
   * @throws AppError unauthenticated for a token that is malformed, expired or revoked.
   */
  async resolve(accessToken: string): Promise<Caller> {
    return (await this.#resolve(accessToken, byItself(this.#checks))).caller
  }

  /**
   * The same, and counts the request for its user, by what it is for.
   *
   * @param announced what the caller's `readAhead` is to hold, read in the same statement.
   * @returns a null count where the database keeps none.
   */
  async resolveAndCount(
    accessToken: string,
    as: keyof UserCounters = 'requests',
    announced?: Announced,
  ): Promise<{ caller: Caller; count: Count | null }> {
    const isAhead = announced && this.#mayReadAhead(announced)
    const find = isAhead ? this.#readingAhead(as, announced) : byItself(this.#counting[as])
    return this.#resolve(accessToken, find)
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
    const tokenHash = hashOf(secret)
    await this.#begin(proof, { id: newId(), kind: 'browser', name, tokenHash, expiresAt })
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
    if (checked?.session.kind !== 'browser') return undefined
    if (checked.session.isUseToBeNoted) this.noteUse(checked.session.id)
    return this.#toCaller(checked)
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
    const { userId } = caller
    const session = this.#newSession()
    await beginSession(this.#deps, userId, actorOf(caller), async ({ sessions }) => {
      if (!(await sessions.revoke(caller.sessionId, userId))) throw sessionEnded()
      return session
    })
    return this.#sign(session, userId)
  }

  /** Ends the caller's session. @returns whether it was still live. */
  async revoke(caller: Caller): Promise<boolean> {
    return this.#deps.transact(async (repositories) => {
      const isEnded = await repositories.sessions.revoke(caller.sessionId, caller.userId)
      if (isEnded) await this.#recordEnd(repositories, caller, { session: caller.sessionId })
      return isEnded
    })
  }

  /**
   * Ends all of the user's sessions, including those that one of them is just creating.
   *
   * @returns how many ended.
   * @throws AppError unauthenticated when the caller's session had already ended.
   */
  async revokeAll(caller: Caller): Promise<number> {
    return this.#deps.transact(async ({ authority, sessions, auditEvents }) => {
      await authority.lockEntrance(caller.userId)
      await holdSessions({ authority }, caller, 'all')
      const ended = await sessions.revokeAll(caller.userId)
      await this.#recordEnd({ auditEvents }, caller, { sessions: ended })
      return ended
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
    const spent = new Map(spending.map((row) => [row.sessionId, row.spentNanoUsd]))
    return rows.map(({ name, scopes, ...row }) => ({
      ...row,
      name: name === null ? null : (visibleName(name) ?? null),
      scopes: scopes === null ? ALL_SCOPES : scopes.filter(isScope),
      spentNanoUsd: row.limitNanoUsd === null ? null : (spent.get(row.id) ?? 0n),
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
    return this.#deps.transact(async ({ authority, sessions, auditEvents }) => {
      // A token may always revoke itself.
      const needed: Scope[] = id === caller.sessionId ? [] : ['account']
      const isLive = await holdSessions({ authority }, caller, [id], { needed })
      const isEnded = isLive(id) && (await sessions.revoke(id, caller.userId))
      if (isEnded) await this.#recordEnd({ auditEvents }, caller, { session: id })
      return isEnded
    })
  }

  async #recordEnd(
    transaction: AuditTransaction,
    caller: Caller,
    ended: { session: string } | { sessions: number },
  ): Promise<void> {
    await this.#deps.audit.record(transaction, {
      action: 'session.ended',
      actor: actorOf(caller),
      ...('session' in ended
        ? { target: { kind: 'session', id: ended.session } }
        : { target: { kind: 'user', id: caller.userId }, detail: ended }),
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

  /** Of a request that is counted elsewhere it is not known yet whether it is refused. */
  #mayReadAhead({ name }: Announced): boolean {
    return this.#deps.userCounters !== null || name === 'turnContext'
  }

  #readingAhead(as: keyof UserCounters, announced: Announced): FindSession {
    const { repositories, userCounters } = this.#deps
    const { name, asked } = announced
    return async (proof, readsAll) => {
      if (!isWellFormed(proof)) return undefined
      const caller = { proof, readsAll, asked }
      const askedAt = performance.now()
      const found = await repositories.callerReads.find(name, caller, userCounters?.[as] ?? null)
      if (!found?.read) return found
      const { session, read } = found
      return { ...found, readAhead: new ReadAhead(announced, { proof, session, read, askedAt }) }
    }
  }

  /**
   * What an access token of /mcp says of itself: its session is not looked up.
   *
   * @throws AppError unauthenticated for a token that is malformed or expired.
   */
  async recognise(accessToken: string): Promise<NamedSession> {
    if (accessToken.startsWith(`${PERSONAL_TOKEN_PREFIX}_`)) {
      return { proof: { tokenHash: hashOf(accessToken) }, kinds: ['personal'], scopes: undefined }
    }
    const { sessionId: id, userId, scope } = await this.#deps.tokens.verify(accessToken)
    const kinds = ['password', 'connection'] as const
    return { proof: { id, userId }, kinds, scopes: scope?.split(' ') }
  }

  /** The caller that the token would be, if the session is still as given. */
  callerOf(session: LiveSession, { kinds, scopes }: NamedSession): Caller | undefined {
    if (!kinds.includes(session.kind)) return undefined
    const caller = this.#toCaller({ session, count: null })
    if (scopes === undefined) return caller
    return { ...caller, scopes: caller.scopes.filter((granted) => scopes.includes(granted)) }
  }

  async #resolve(accessToken: string, find: FindSession) {
    const named = await this.recognise(accessToken)
    const readsAll = named.scopes?.includes('conversations:read') ?? true
    const found = await find(named.proof, readsAll)
    const caller = found && this.callerOf(found.session, named)
    if (!found || !caller) throw sessionEnded(named.kinds)
    if (found.session.isUseToBeNoted) this.noteUse(found.session.id)
    const { count, readAhead } = found
    return { caller: readAhead ? { ...caller, readAhead } : caller, count }
  }

  #toCaller({ session }: CheckedSession): Caller {
    const { id: sessionId, userId, username, kind } = session
    const role = this.#deps.roles.of(session)
    const rights = { isAdmin: role === 'admin', isAuditor: role !== 'member' }
    const scopes = session.scopes === null ? ALL_SCOPES : session.scopes.filter(isScope)
    const caller = { userId, username, sessionId, kind, scopes, ...rights, network: null }
    return {
      ...caller,
      ...(session.allowedModels && { allowedModels: session.allowedModels }),
    }
  }

  async #begin(proof: PasswordProof, session: BegunSession): Promise<void> {
    const actor = { sessionId: null, addressPrefix: proof.network }
    await beginSession(this.#deps, proof.userId, actor, async (repositories) => {
      await holdPassword(repositories, proof)
      return { ...session, isProven: true }
    })
  }

  /** Fire and forget: a failure is harmless. */
  noteUse(id: string): void {
    this.#deps.repositories.sessions.noteUse(id).catch((err: unknown) => {
      if (!isDatabaseGone(err)) this.#deps.log.warn({ err }, 'the use of a session was not noted')
    })
  }

  #newSession() {
    // Whole seconds, as in `exp`, so that the reported expiry is the token's.
    const now = Math.floor(Date.now() / 1000)
    return { id: newId(), expiresAt: new Date((now + this.#deps.sessionSeconds) * 1000) }
  }

  async #sign(
    { id: sessionId, expiresAt }: { id: string; expiresAt: Date },
    userId: string,
  ): Promise<IssuedToken> {
    const accessToken = await this.#deps.tokens.sign({ userId, sessionId, expiresAt })
    return { accessToken, expiresAt, userId }
  }
}

/** A statement for the sessions alone. */
const byItself =
  ({ signed, personal }: TokenChecks): FindSession =>
  (proof) =>
    ('id' in proof ? signed : personal).find(proof)

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
