import type { Repositories } from '../../repositories/index.ts'

type Deps = {
  repositories: Pick<Repositories, 'answerNotices'>
  /** Nobody else is there to be told. */
  isOnlyProcess: boolean
}

/** Of the answers that end within it, the other replicas are told together. */
const COLLECT_MS = 20

/**
 * Tells the other replicas which answers ended, so that whoever waits there need not poll.
 *
 * After the answer is stored and apart from it: a notice that is lost costs its hearer one more
 * look at the database.
 */
export class AnswerNotices {
  readonly #deps: Deps
  #finished: string[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(deps: Deps) {
    this.#deps = deps
  }

  finished(answerId: string): void {
    if (this.#deps.isOnlyProcess) return
    this.#finished.push(answerId)
    this.#timer ??= setTimeout(() => void this.flush(), COLLECT_MS)
  }

  /** Tells what is still to be told. Never throws. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const answerIds = this.#finished
    this.#finished = []
    if (answerIds.length === 0) return
    await this.#deps.repositories.answerNotices.tell('finished', answerIds).catch(() => {})
  }
}
