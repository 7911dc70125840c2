/** The calls that pass through this process now. */
export class OpenCalls {
  readonly #open = new Map<AbortController, Promise<unknown>>()

  get count(): number {
    return this.#open.size
  }

  /** Runs the work until it settles. @param work gets a signal that ends it, with an AppError. */
  async during<T>(work: (stop: AbortController) => Promise<T>): Promise<T> {
    const stop = new AbortController()
    const done = work(stop)
    this.#open.set(
      stop,
      done.catch(() => {}),
    )
    try {
      return await done
    } finally {
      this.#open.delete(stop)
    }
  }

  /** Resolves when nothing is open, calls that begin meanwhile included. */
  async untilIdle(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(this.#open.values())
  }

  /** Ends all of them, and waits until they are booked. */
  async interrupt(reason: Error): Promise<void> {
    for (const stop of this.#open.keys()) stop.abort(reason)
    await this.untilIdle()
  }
}
