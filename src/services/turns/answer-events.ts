/** What replicas tell one another about answers, by way of the database's NOTIFY. */

import type { Repositories } from '../../repositories/index.ts'

export type AnswerSignal = { kind: 'finished' | 'cancel'; answerId: string }

/** The payload, as the message repository sends it. */
export function decodeSignal(payload: string): AnswerSignal | undefined {
  const match = /^(finished|cancel) ([0-9a-f-]{36})$/.exec(payload)
  return match
    ? { kind: match[1] as AnswerSignal['kind'], answerId: match[2] as string }
    : undefined
}

/** Wakes whoever waits for an answer that another process generates. Missing a signal is harmless. */
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
