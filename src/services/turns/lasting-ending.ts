/** Stores the end of a turn that was paid for, and retries until it succeeds. */

import type { ClaudeOutcome } from '../../claude/client.ts'
import { AppError, isDatabaseGone } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { FinishedTurn, TurnEnding } from './finish-turn.ts'
import type { Generated } from './generate-answer.ts'
import type { TurnTiming } from './receipt.ts'
import type { RunningAnswer } from './running-answers.ts'
import type { StartedTurn } from './turn.ts'

type Deps = { ending: Pick<TurnEnding, 'finish'>; log: Logger }

/** The pauses between retries; the last one repeats. */
const PAUSES_MS = [250, 500, 1000, 2000, 5000]
/** Errors other than an unreachable database are retried for this long: they need a new build. */
const FAULTY_FOR_MS = 15 * 60_000
/** Tries of each form: the outcome as it is, its {@link plain} values, then without the text. */
const TRIES_EACH = 2

export class LastingEnding {
  readonly #deps: Deps
  /** Answers that exist only in this process's memory. */
  readonly #kept = new Set<string>()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * TurnEnding.finish with retries after every error, except when the turn has already ended.
   * Waiting callers learn that storing fails. The lease is renewed meanwhile, so that no other
   * process closes the answer.
   *
   * @throws AppError interrupted or not_found when the turn was closed or deleted meanwhile.
   */
  async finish(
    generated: Generated,
    timing: TurnTiming,
    answer: RunningAnswer,
  ): Promise<FinishedTurn> {
    const { answerId } = generated.turn
    const since = performance.now()
    let faults = 0
    for (let attempt = 0; ; attempt++) {
      try {
        const finished = await this.#write(generated, timing, faults)
        this.#stored(answerId)
        return finished
      } catch (error) {
        if (!isDatabaseGone(error)) faults += 1
        if (isOver(error) || (faults > 0 && performance.now() - since > FAULTY_FOR_MS)) {
          this.#release(answerId)
          throw error
        }
        this.#keep(answerId, error)
        answer.reportStorageFailure()
        await pause(PAUSES_MS[attempt] ?? (PAUSES_MS.at(-1) as number))
      }
    }
  }

  #write({ turn, outcome, warnings }: Generated, timing: TurnTiming, faults: number) {
    const { ending } = this.#deps
    if (faults < TRIES_EACH) return ending.finish(turn, outcome, timing, warnings)
    const isTextKept = faults < 2 * TRIES_EACH
    return ending.finish(turn, plain(turn, outcome, isTextKept), timing, [])
  }

  #keep(answerId: string, err: unknown): void {
    const { log } = this.#deps
    if (!isDatabaseGone(err)) log.error({ err, answerId }, 'an answer could not be stored')
    if (this.#kept.has(answerId)) return
    log.warn({ err, answerId }, 'an answer cannot be stored yet; it is kept and tried again')
    if (this.#kept.size === 0) process.once('exit', this.#tellLost)
    this.#kept.add(answerId)
  }

  #stored(answerId: string): void {
    if (!this.#kept.has(answerId)) return
    this.#release(answerId)
    this.#deps.log.info({ answerId }, 'an answer that was kept is stored')
  }

  #release(answerId: string): void {
    this.#kept.delete(answerId)
    if (this.#kept.size === 0) process.off('exit', this.#tellLost)
  }

  /** The cost that is booked for them later is that of their last checkpoints. */
  readonly #tellLost = (): void => {
    const answerIds = [...this.#kept]
    this.#deps.log.fatal(
      { answerIds },
      'stopped with answers that could not be stored: they are lost',
    )
  }
}

/** Ended by another process, or deleted with its account. */
const isOver = (error: unknown) =>
  error instanceof AppError && (error.code === 'interrupted' || error.code === 'not_found')

/** The same end in the gateway's own values, for when one of Anthropic's cannot be stored. */
function plain(turn: StartedTurn, outcome: ClaudeOutcome, isTextKept: boolean): ClaudeOutcome {
  const { text } = outcome
  const hasText = isTextKept && text !== ''
  return {
    ...outcome,
    status: isTextKept ? outcome.status : 'failed',
    content: hasText ? [{ type: 'text', text }] : [],
    model: turn.model.id,
    stopReason: null,
    stopSequence: null,
    refusalCategory: null,
    requestId: null,
    warnings: [],
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
