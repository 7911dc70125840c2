/**
 * Keeps a server that hangs from holding up whoever asks it: one who waited too long is the last,
 * until the server has answered again.
 */
export class CircuitBreaker {
  readonly #withinMs: number
  readonly #probe: () => Promise<unknown>
  #isOpen = false

  /** `probe` settles when it is worth asking again: with an answer, or since asking fails at once. */
  constructor(options: { withinMs: number; probe: () => Promise<unknown> }) {
    this.#withinMs = options.withinMs
    this.#probe = options.probe
  }

  /** @throws Error at once while the server hangs, and after `withinMs` when it begins to. */
  async run<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#isOpen) throw hangs()
    let timer: NodeJS.Timeout | undefined
    let isSettled = false
    const late = new Promise<never>((_resolve, reject) => {
      const giveUp = () => {
        if (!isSettled) this.#open()
        reject(hangs())
      }
      // An answer that came while this process was busy is read first, and counts.
      timer = setTimeout(() => setImmediate(giveUp), this.#withinMs)
    })
    const answer = ask()
    const settle = () => {
      isSettled = true
      clearTimeout(timer)
    }
    // Also of one that comes late, or fails then, which nobody waits for.
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
