import { newToken } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import { holdSession } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import type { Scope } from '../access/scopes.ts'
import { hashOf } from '../access/sessions.ts'

type Deps = {
  repositories: Pick<Repositories, 'oneTimeLinks'>
  transact: Transact<'authority' | 'oneTimeLinks'>
  /** Without a trailing slash. */
  publicUrl: string
}

export type KeyLink = { url: string; expiresAt: Date }

const LIFETIME_MS = 15 * 60_000
/** Valid links of one user; a further one replaces the oldest. */
const MOST_LINKS = 10

/**
 * Links to the page where a user enters their Anthropic key, so that it need not pass through a
 * model. A link signs no one in: the page requires its user's own browser session, so a link that
 * was passed on cannot collect another user's key.
 */
export class KeyLinks {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Valid for 15 minutes and one use, or until ten newer ones exist. Only its SHA-256 is stored.
   *
   * @param scope the one that the caller needs for it.
   * @throws AppError unauthenticated, insufficient_scope.
   */
  async create(caller: Caller, scope: Scope): Promise<KeyLink> {
    const link = newToken('link')
    const expiresAt = new Date(Date.now() + LIFETIME_MS)
    const { userId } = caller
    await this.#deps.transact(async ({ authority, oneTimeLinks }) => {
      await holdSession({ authority }, caller, [scope])
      await oneTimeLinks.insert(
        { tokenHash: hashOf(link), userId, expiresAt, purpose: 'key' },
        MOST_LINKS,
      )
    })
    return { url: `${this.#deps.publicUrl}/account/key?link=${link}`, expiresAt }
  }

  /** Whether the link is the user's and still valid; does not use it up. */
  async belongsTo(link: string, userId: string): Promise<boolean> {
    return (await this.#deps.repositories.oneTimeLinks.findUser(hashOf(link), 'key')) === userId
  }

  /** The error for a call whose user has stored no key: says where to enter one. */
  async keyMissing(caller: Caller): Promise<AppError> {
    const { url, expiresAt } = await this.create(caller, 'messages:send')
    return new AppError(
      'api_key_missing',
      `No Anthropic key is stored for you. Open ${url} in a browser, sign in and enter your key there, then try again.`,
      {
        onPages: 'No Anthropic key is stored for you. Enter one at /account/key, then try again.',
        details: { url, expires_at: expiresAt.toISOString() },
      },
    )
  }
}
