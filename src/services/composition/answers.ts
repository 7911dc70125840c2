import { AnswerNotices, AnswerSignals, decodeSignal } from '../turns/answers/answer-events.ts'
import { AnswerService } from '../turns/answers/follow-answer.ts'
import { RunningAnswers } from '../turns/answers/running-answers.ts'
import type { Foundation } from './foundation.ts'

export type Answers = ReturnType<typeof createAnswers>

/** Answers that run, wherever their calls came in. */
export function createAnswers(foundation: Foundation) {
  const { repositories, transact, watch, vault, isOnlyProcess } = foundation
  const running = new RunningAnswers()
  const signals = new AnswerSignals()
  return {
    running,
    notices: new AnswerNotices({ repositories, isOnlyProcess }),
    answers: new AnswerService({ repositories, transact, running, signals, watch, vault }),
    /** Handles the notifications of other replicas about answers. */
    onSignal(payload: string) {
      const signal = decodeSignal(payload)
      if (signal?.kind === 'finished') signals.wake(signal.answerId)
      if (signal?.kind === 'cancel') running.cancel(signal.answerId)
    },
  }
}
