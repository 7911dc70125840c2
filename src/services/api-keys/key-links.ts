import { newToken } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import { holdSession } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import type { Scope } from '../access/scopes.ts'
import { hashOf } from '../access/sessions.ts'

type Deps = {
  repositories: Pick<Repositories, 'oneTimeLinks'>
  transact: Transact
  /** Without a slash at the end. */
  publicUrl: string
}

export type KeyLink = { url: string; expiresAt: Date }

const LIFETIME_MS = 15 * 60_000
/** Of one user, good at the same time; a further one takes the oldest's place. */
const MOST_LINKS = 10

/**
 * Links to the page where a user enters their Anthropic key, so that it need not pass through a
 * model. A link signs nobody in: the page asks for its user's own browser session, which keeps a
 * link that was handed on from collecting somebody else's key.
 */
export class KeyLinks {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Good for 15 minutes and one use, while fewer than ten came after it. Only its SHA-256 is stored.
   *
   * @param scope by which the caller gets it.
   * @throws AppError unauthenticated, insufficient_scope.
   */
  async create(caller: Caller, scope: Scope): Promise<KeyLink> {
    const link = newToken('link')
    const expiresAt = new Date(Date.now() + LIFETIME_MS)
    const { userId } = caller
    await this.#deps.transact(async ({ authority, oneTimeLinks }) => {
      await holdSession({ authority }, caller, [scope])
      await oneTimeLinks.insert({ tokenHash: hashOf(link), userId, expiresAt }, MOST_LINKS)
    })
    return { url: `${this.#deps.publicUrl}/account/key?link=${link}`, expiresAt }
  }

  /** Whether the link is the user's and still good; it stays good. */
  async belongsTo(link: string, userId: string): Promise<boolean> {
    return (await this.#deps.repositories.oneTimeLinks.findUser(hashOf(link))) === userId
  }

  /** For a call that needs a key its user has not stored: says where to enter one. */
  async keyMissing(caller: Caller): Promise<AppError> {
    const { url, expiresAt } = await this.create(caller, 'messages:send')
    return new AppError(
      'api_key_missing',
      `No Anthropic key is stored for you. Open ${url} in a browser, sign in and enter your key there, then try again.`,
      { details: { url, expires_at: expiresAt.toISOString() } },
    )
  }
}
