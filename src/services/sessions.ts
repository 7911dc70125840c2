import { newId } from '../crypto/random.ts'
import type { AccessTokens } from '../crypto/tokens.ts'
import { AppError } from '../errors.ts'
import type { Repositories, Transact } from '../repositories/index.ts'

/** Who is asking, after their token and its session were both found good. */
export type Caller = {
  userId: string
  username: string
  sessionId: string
  isAdmin: boolean
}

export type IssuedToken = { accessToken: string; expiresAt: Date; userId: string }

type Deps = {
  repositories: Pick<Repositories, 'sessions'>
  transact: Transact
  tokens: AccessTokens
  sessionSeconds: number
  /** Lower case. */
  adminUsernames: readonly string[]
}

/** Access tokens and the rows they name: a token is only as good as its session is at this moment. */
export class SessionService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  async issue(userId: string): Promise<IssuedToken> {
    const session = this.#newSession(userId)
    await this.#deps.repositories.sessions.insert(session)
    return this.#sign(session)
  }

  /** @throws AppError unauthenticated for a token that is malformed, expired or revoked. */
  async resolve(accessToken: string): Promise<Caller> {
    const { sessionId, userId } = await this.#deps.tokens.verify(accessToken)
    const user = await this.#deps.repositories.sessions.findLive(sessionId, userId)
    if (!user) throw sessionEnded()
    const isAdmin = this.#deps.adminUsernames.includes(user.usernameKey)
    return { userId, username: user.username, sessionId, isAdmin }
  }

  /**
   * A new token for the caller's, which ends in the same transaction.
   *
   * @throws AppError unauthenticated when it had ended already: of two rotations one succeeds.
   */
  async rotate(caller: Caller): Promise<IssuedToken> {
    const session = this.#newSession(caller.userId)
    await this.#deps.transact(async ({ sessions }) => {
      if (!(await sessions.revoke(caller.sessionId, caller.userId))) throw sessionEnded()
      await sessions.insert(session)
    })
    return this.#sign(session)
  }

  /** Ends the caller's session, or all of the user's. @returns how many ended. */
  async revoke(caller: Caller, scope: 'this' | 'all'): Promise<number> {
    const { sessions } = this.#deps.repositories
    if (scope === 'all') return sessions.revokeAll(caller.userId)
    return (await sessions.revoke(caller.sessionId, caller.userId)) ? 1 : 0
  }

  #newSession(userId: string) {
    // Whole seconds, as `exp` has them: what the caller is told is what the token says.
    const now = Math.floor(Date.now() / 1000)
    return { id: newId(), userId, expiresAt: new Date((now + this.#deps.sessionSeconds) * 1000) }
  }

  async #sign(session: { id: string; userId: string; expiresAt: Date }): Promise<IssuedToken> {
    const { id: sessionId, userId, expiresAt } = session
    const accessToken = await this.#deps.tokens.sign({ userId, sessionId, expiresAt })
    return { accessToken, expiresAt, userId }
  }
}

const sessionEnded = () =>
  new AppError(
    'unauthenticated',
    'This access token was revoked or replaced. Sign in again with authenticate_user.',
  )
