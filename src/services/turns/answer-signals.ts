/** What replicas tell one another about answers, by way of the database's NOTIFY. */

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
