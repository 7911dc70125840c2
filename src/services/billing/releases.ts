/** Wakes calls that wait for budgets of their payer, a user or a team, which other calls have reserved. */
export class Releases {
  readonly #waiting = new Map<string, Set<() => void>>()

  /** A call that the payer pays for was settled in this process. */
  released(payerId: string): void {
    for (const wake of this.#waiting.get(payerId) ?? []) wake()
  }

  /**
   * Resolves at the next release in this process, after `atMostMs`, or when the signal aborts. Other
   * processes release too, so the caller looks again either way.
   */
  async wait(payerId: string, atMostMs: number, signal: AbortSignal): Promise<void> {
    let wake = () => {}
    const released = new Promise<void>((resolve) => {
      wake = resolve
    })
    const timer = setTimeout(wake, atMostMs)
    signal.addEventListener('abort', wake, { once: true })
    if (signal.aborted) wake()
    this.#add(payerId, wake)
    await released
    clearTimeout(timer)
    signal.removeEventListener('abort', wake)
    this.#remove(payerId, wake)
  }

  #add(payerId: string, wake: () => void): void {
    const waiting = this.#waiting.get(payerId)
    if (waiting) waiting.add(wake)
    else this.#waiting.set(payerId, new Set([wake]))
  }

  #remove(payerId: string, wake: () => void): void {
    const waiting = this.#waiting.get(payerId)
    waiting?.delete(wake)
    if (waiting?.size === 0) this.#waiting.delete(payerId)
  }
}
