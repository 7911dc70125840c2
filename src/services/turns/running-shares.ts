import { AppError } from '../../errors.ts'

/** Of what its users sent, one process keeps so much of each while Claude answers. */
const MAX_CHARACTERS = 32_000_000
const RETRY_AFTER_SECONDS = 5

type Share = { answers: number; characters: number }

/**
 * What each user has under way in this process, whoever still waits for it: answers go on when
 * their callers are gone, so that a limit of open connections alone would hold nothing.
 */
export class RunningShares {
  readonly #maxAnswers: number
  readonly #byUser = new Map<string, Share>()

  constructor(maxAnswers: number) {
    this.#maxAnswers = maxAnswers
  }

  /**
   * @param characters of the message and the system prompt.
   * @returns how to give it back.
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
