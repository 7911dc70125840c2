/** Stores the end of a turn that was paid for, and retries until it succeeds. */

import type { ClaudeOutcome } from '../../claude/client.ts'
import type { Logger } from '../../log.ts'
import { type Form, LastingSettlement } from '../billing/lasting-settlement.ts'
import type { RunningAnswer } from './answers/running-answers.ts'
import type { FinishedTurn, TurnEnding } from './finish-turn.ts'
import type { Generated } from './generate-answer.ts'
import type { TurnTiming } from './receipt.ts'
import type { StartedTurn } from './turn.ts'

type Deps = { ending: Pick<TurnEnding, 'finish'>; log: Logger }

const NOUN = { one: 'an answer', several: 'answers', idName: 'answerId' }

export class LastingEnding {
  readonly #ending: Deps['ending']
  readonly #lasting: LastingSettlement

  constructor({ ending, log }: Deps) {
    this.#ending = ending
    this.#lasting = new LastingSettlement({ log, noun: NOUN })
  }

  /**
   * TurnEnding.finish, as often as it takes (lasting-settlement.ts). Waiting callers learn that
   * storing fails.
   *
   * @throws AppError interrupted or not_found when the turn was closed or deleted meanwhile.
   */
  finish(generated: Generated, timing: TurnTiming, answer: RunningAnswer): Promise<FinishedTurn> {
    return this.#lasting.write(
      generated.turn.answerId,
      (form) => this.#write(generated, timing, form),
      () => answer.reportStorageFailure(),
    )
  }

  #write({ turn, outcome, warnings }: Generated, timing: TurnTiming, form: Form) {
    if (form === 'whole') return this.#ending.finish(turn, outcome, timing, warnings)
    return this.#ending.finish(turn, plain(turn, outcome, form === 'plain'), timing, [])
  }
}

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
