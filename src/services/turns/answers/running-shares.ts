import { AppError } from '../../../errors.ts'

/** Per user: how many characters of running calls one process keeps in memory. */
const MAX_CHARACTERS = 32_000_000
const RETRY_AFTER_SECONDS = 5

type Share = { answers: number; characters: number }

/**
 * Limits each user's running answers in this process. Answers continue after their callers
 * disconnect, so a limit of open connections would not bound them.
 */
export class RunningShares {
  readonly #maxAnswers: number
  readonly #byUser = new Map<string, Share>()

  constructor(maxAnswers: number) {
    this.#maxAnswers = maxAnswers
  }

  /**
   * @param characters of the message and the system prompt.
   * @returns a function that releases the share.
   * @throws AppError rate_limited.
   */
  take(userId: string, characters: number): () => void {
    const { answers, characters: held } = this.#byUser.get(userId) ?? NONE
    const isTooMuch = answers > 0 && held + characters > MAX_CHARACTERS
    if (answers >= this.#maxAnswers || isTooMuch) throw tooMany(answers)
    this.#add(userId, 1, characters)
    let give = () => this.#add(userId, -1, -characters)
    return () => {
      give()
      give = () => {}
    }
  }

  #add(userId: string, answers: number, characters: number): void {
    const before = this.#byUser.get(userId) ?? NONE
    const share = {
      answers: before.answers + answers,
      characters: before.characters + characters,
    }
    if (share.answers > 0) this.#byUser.set(userId, share)
    else this.#byUser.delete(userId)
  }
}

const NONE: Share = { answers: 0, characters: 0 }

const tooMany = (answers: number) =>
  new AppError(
    'rate_limited',
    `${answers} answers of yours are being written, as many as may be at once. Wait for one of them, or try again in ${RETRY_AFTER_SECONDS} s.`,
    { retryAfterSeconds: RETRY_AFTER_SECONDS, details: { limited_by: 'gateway' } },
  )
