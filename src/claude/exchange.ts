import type { Dispatcher } from 'undici'

export type Head = { status: number; headers: Record<string, string | string[] | undefined> }

/**
 * One HTTP exchange, from undici's own callbacks: what arrives is handed on where it arrives.
 *
 * undici's `request` puts a Readable between, and reading that by `for await` an iterator and several
 * promises more for every chunk: for text that comes word by word, most of the work and the memory.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  /** Once `onHead` was told. Rejects when the exchange ends before. */
  readonly opened: Promise<void>
  /** The end of the body. Rejects when it breaks off, or with what `onData` threw. */
  readonly ended: Promise<void>
  readonly #onHead: (head: Head) => (chunk: Uint8Array) => void
  readonly #signal: AbortSignal
  readonly #abort = () => this.#stop()
  #controller: Dispatcher.DispatchController | undefined
  #onData: (chunk: Uint8Array) => void = () => {}
  #open!: () => void
  #end!: () => void
  #fail!: (error: unknown) => void

  /**
   * @param onHead told of status and headers; gives back what is told of each piece of the body.
   * @param signal ends the exchange, also while it waits for a connection.
   */
  constructor(onHead: (head: Head) => (chunk: Uint8Array) => void, signal: AbortSignal) {
    this.#onHead = onHead
    this.#signal = signal
    this.opened = new Promise((resolve, reject) => {
      this.#open = resolve
      this.#fail = reject
    })
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve
      const failOpening = this.#fail
      this.#fail = (error) => {
        failOpening(error)
        reject(error)
      }
    })
    // Whoever waits for the head hears of it there.
    this.ended.catch(() => {})
    signal.addEventListener('abort', this.#abort, { once: true })
    if (signal.aborted) this.#stop()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#signal.aborted) controller.abort(this.#signal.reason)
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Head['headers'],
  ): void {
    // undici would keep the bytes they were read from until the body ends: 6 KB of them.
    controller.rawHeaders = null
    if (status < 200) return
    this.#onData = this.#onHead({ status, headers })
    this.#open()
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Uint8Array): void {
    this.#onData(chunk)
  }

  onResponseEnd(): void {
    this.#release()
    this.#end()
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: unknown): void {
    this.#release()
    this.#fail(error)
  }

  #stop(): void {
    this.#fail(this.#signal.reason)
    this.#controller?.abort(this.#signal.reason)
  }

  #release(): void {
    this.#signal.removeEventListener('abort', this.#abort)
  }
}
