/**
 * Keeps a hanging server from delaying its callers: after one timeout, calls fail at once until the
 * server has answered again.
 */
export class CircuitBreaker {
  readonly #withinMs: number
  readonly #probe: () => Promise<unknown>
  #isOpen = false

  /** `probe` settles when calls may resume: with an answer, or an error (calls then fail fast). */
  constructor(options: { withinMs: number; probe: () => Promise<unknown> }) {
    this.#withinMs = options.withinMs
    this.#probe = options.probe
  }

  /** @throws Error at once while the circuit is open, and after `withinMs` on a timeout. */
  async run<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#isOpen) throw hangs()
    let timer: NodeJS.Timeout | undefined
    let isSettled = false
    const late = new Promise<never>((_resolve, reject) => {
      const giveUp = () => {
        if (!isSettled) this.#open()
        reject(hangs())
      }
      // An answer that arrived while the event loop was busy is read first, and counts.
      timer = setTimeout(() => setImmediate(giveUp), this.#withinMs)
    })
    const answer = ask()
    const settle = () => {
      isSettled = true
      clearTimeout(timer)
    }
    // Also handles an answer or error that arrives after the timeout.
    answer.then(settle, settle)
    return Promise.race([answer, late])
  }

  #open(): void {
    if (this.#isOpen) return
    this.#isOpen = true
    const close = () => {
      this.#isOpen = false
    }
    this.#probe().then(close, close)
  }
}

const hangs = () => new Error('The server does not answer.')
