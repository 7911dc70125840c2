/** Why a call was stopped from this side. */
export type Stop = 'cancelled' | 'deadline' | 'idle'

/**
 * The limits of one call: the caller's signal, a total deadline, and a longest silence. Ends all
 * three through one signal and remembers which came first.
 */
export class Watch {
  stopped: Stop | null = null
  readonly #controller = new AbortController()
  readonly #caller: AbortSignal
  readonly #endsAt: number
  readonly #deadline: NodeJS.Timeout
  readonly #idleMs: number
  #idle: NodeJS.Timeout | undefined
  readonly #cancel = () => this.#stop('cancelled')

  constructor(caller: AbortSignal, limits: { deadlineMs: number; idleMs: number }) {
    this.#caller = caller
    this.#endsAt = performance.now() + limits.deadlineMs
    this.#deadline = setTimeout(() => this.#stop('deadline'), limits.deadlineMs)
    this.#idleMs = limits.idleMs
    if (caller.aborted) this.#cancel()
    else caller.addEventListener('abort', this.#cancel, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Milliseconds until the deadline. */
  get remainingMs(): number {
    return this.#endsAt - performance.now()
  }

  /** Something was heard, or is due: the longest silence begins anew. */
  expectMore(): void {
    if (this.#idle === undefined) {
      this.#idle = setTimeout(() => this.#stop('idle'), this.#idleMs)
    } else {
      this.#idle.refresh()
    }
  }

  /** Silence is in order for now; only the deadline counts. */
  expectSilence(): void {
    clearTimeout(this.#idle)
    this.#idle = undefined
  }

  /** Releases the timers and the caller's signal. */
  close(): void {
    clearTimeout(this.#deadline)
    this.expectSilence()
    this.#caller.removeEventListener('abort', this.#cancel)
  }

  #stop(reason: Stop): void {
    this.stopped ??= reason
    this.#controller.abort()
  }
}
