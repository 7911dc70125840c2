/** Why the gateway stopped a call. */
export type Stop = 'cancelled' | 'deadline' | 'idle'

/**
 * `firstTokenMs`: longest silence before the first text, as a long prompt takes time to read.
 * `idleMs`: longest silence after it.
 */
export type Limits = { deadlineMs: number; idleMs: number; firstTokenMs: number }

/**
 * The limits of one call: the caller's signal, a total deadline, and an idle timeout. Combines the
 * three into one signal and remembers which came first.
 */
export class CallDeadline {
  stopped: Stop | null = null
  readonly #controller = new AbortController()
  readonly #caller: AbortSignal
  readonly #endsAt: number
  readonly #deadline: NodeJS.Timeout
  readonly #limits: Limits
  #idle: NodeJS.Timeout | undefined
  #idleMs = 0
  readonly #cancel = () => this.#stop('cancelled')

  constructor(caller: AbortSignal, limits: Limits) {
    this.#caller = caller
    this.#endsAt = performance.now() + limits.deadlineMs
    this.#deadline = setTimeout(() => this.#stop('deadline'), limits.deadlineMs)
    this.#limits = limits
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

  /** Restarts the timeout for the first text: when waiting begins, and on events before text. */
  expectFirst(): void {
    this.#expectWithin(this.#limits.firstTokenMs)
  }

  /** Restarts the idle timeout, after text arrived. */
  expectMore(): void {
    this.#expectWithin(this.#limits.idleMs)
  }

  /** Stops the idle timeout; only the deadline counts. */
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

  #expectWithin(idleMs: number): void {
    if (this.#idle !== undefined && this.#idleMs === idleMs) {
      this.#idle.refresh()
      return
    }
    clearTimeout(this.#idle)
    this.#idleMs = idleMs
    this.#idle = setTimeout(() => this.#stop('idle'), idleMs)
  }

  #stop(reason: Stop): void {
    this.stopped ??= reason
    this.#controller.abort()
  }
}
