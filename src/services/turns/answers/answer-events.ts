/** Notifications between replicas about answers, through the database's NOTIFY. */

import type { Repositories } from '../../../repositories/index.ts'

export type AnswerSignal = { kind: 'finished' | 'cancel'; answerId: string }

/** Decodes the payload of the repository's notification. */
export function decodeSignal(payload: string): AnswerSignal | undefined {
  const match = /^(finished|cancel) ([0-9a-f-]{36})$/.exec(payload)
  return match
    ? { kind: match[1] as AnswerSignal['kind'], answerId: match[2] as string }
    : undefined
}

/** Wakes callers that wait for another process's answer. Missing a signal is harmless. */
export class AnswerSignals {
  readonly #waiting = new Map<string, Set<() => void>>()

  /** Resolves at the signal, or after `ms` at the latest. */
  async finished(answerId: string, ms: number): Promise<void> {
    const waiting = this.#waiting.get(answerId) ?? new Set()
    this.#waiting.set(answerId, waiting)
    await new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        waiting.delete(wake)
        if (waiting.size === 0) this.#waiting.delete(answerId)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      waiting.add(wake)
    })
  }

  wake(answerId: string): void {
    for (const wake of this.#waiting.get(answerId) ?? []) wake()
  }
}

type Deps = {
  repositories: Pick<Repositories, 'answerNotices'>
  /** True when there are no other replicas to notify. */
  isOnlyProcess: boolean
}

/** Answers that end within this time share one notification. */
const COLLECT_MS = 20

/**
 * Notifies the other replicas which answers ended, so that their waiting callers need not poll.
 *
 * Runs after the answer is stored and outside its transaction: a lost notification costs the
 * receiver only one more poll.
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

  /** Sends what is still queued. Never throws. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const answerIds = this.#finished
    this.#finished = []
    if (answerIds.length === 0) return
    await this.#deps.repositories.answerNotices.tell('finished', answerIds).catch(() => {})
  }
}
