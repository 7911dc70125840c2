import { newToken } from '../crypto/random.ts'
import { AppError } from '../errors.ts'
import type { Repositories } from '../repositories/index.ts'
import { hashOf } from './sessions.ts'

type Deps = {
  repositories: Pick<Repositories, 'oneTimeLinks'>
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

  /** Good for 15 minutes and one use, while fewer than ten came after it. Only its SHA-256 is stored. */
  async create(userId: string): Promise<KeyLink> {
    const link = newToken('link')
    const expiresAt = new Date(Date.now() + LIFETIME_MS)
    const tokenHash = hashOf(link)
    await this.#deps.repositories.oneTimeLinks.insert({ tokenHash, userId, expiresAt }, MOST_LINKS)
    return { url: `${this.#deps.publicUrl}/account/key?link=${link}`, expiresAt }
  }

  /** Whether the link is the user's and still good; it stays good. */
  async belongsTo(link: string, userId: string): Promise<boolean> {
    return (await this.#deps.repositories.oneTimeLinks.findUser(hashOf(link))) === userId
  }

  /** @returns whether the link was the user's and still good: of two uses only one is. */
  async use(link: string, userId: string): Promise<boolean> {
    return this.#deps.repositories.oneTimeLinks.use(hashOf(link), userId)
  }

  /** For a call that needs a key its user has not stored: says where to enter one. */
  async keyMissing(userId: string): Promise<AppError> {
    const { url, expiresAt } = await this.create(userId)
    return new AppError(
      'api_key_missing',
      `No Anthropic key is stored for you. Open ${url} in a browser, sign in and enter your key there, then try again.`,
      { details: { url, expires_at: expiresAt.toISOString() } },
    )
  }
}
