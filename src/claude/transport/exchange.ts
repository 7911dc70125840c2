import type { Writable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { codingsOf, openDecoder } from './content-coding.ts'

/**
 * How long the unneeded rest of a body may take. It is mostly just the end, after which the
 * connection can be reused.
 */
const REST_MS = 1000

export type Head = { status: number; headers: Record<string, string | string[] | undefined> }

/** Gets each chunk of a body; returns whether it needs no more. */
export type OnData = (chunk: Uint8Array) => boolean

/**
 * One HTTP exchange on undici's own callbacks: each chunk is passed on as it arrives.
 *
 * undici's `request` adds a Readable, and `for await` an iterator and several promises per chunk:
 * for text that arrives word by word, that is most of the CPU and memory.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  /** Resolves after `onHead` was called. Rejects when the exchange ends before. */
  readonly opened: Promise<void>
  /**
   * Resolves at the end of the body, or when `onData` needs no more. Rejects when the body breaks
   * off before, or with what `onData` threw.
   */
  readonly ended: Promise<void>
  readonly #onHead: (head: Head) => OnData
  readonly #signal: AbortSignal
  readonly #abort = () => this.#stop()
  #controller: Dispatcher.DispatchController | undefined
  #onData: OnData = () => false
  /** For a body with a content coding. */
  #decoder: Writable | undefined
  #rest: NodeJS.Timeout | undefined
  #open!: () => void
  #end!: () => void
  #fail!: (error: unknown) => void

  /**
   * @param onHead gets status and headers; returns the callback for each chunk of the decoded body.
   * @param signal ends the exchange, also while it waits for a connection.
   */
  constructor(onHead: (head: Head) => OnData, signal: AbortSignal) {
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
    // A caller that waits for the head gets the error from `opened`.
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
    // undici would keep the 6 KB of raw headers until the body ends.
    controller.rawHeaders = null
    if (status < 200) return
    this.#onData = this.#onHead({ status, headers })
    const codings = codingsOf(headers['content-encoding']) ?? []
    if (codings.length > 0) this.#decode(codings, controller)
    this.#open()
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.#rest !== undefined) return
    if (this.#decoder === undefined) this.#take(chunk)
    else if (!this.#decoder.write(chunk)) {
      controller.pause()
      this.#decoder.once('drain', () => controller.resume())
    }
  }

  onResponseEnd(): void {
    this.#release()
    if (this.#decoder === undefined) this.#end()
    else this.#decoder.end()
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: unknown): void {
    this.#release()
    this.#fail(error)
    this.#decoder?.destroy()
  }

  #decode(codings: Parameters<typeof openDecoder>[0], controller: Dispatcher.DispatchController) {
    const onData = (chunk: Uint8Array) => {
      if (this.#rest === undefined) this.#take(chunk)
    }
    this.#decoder = openDecoder(codings, onData, (error) => {
      if (error === undefined) return this.#end()
      this.#fail(error)
      controller.abort(error instanceof Error ? error : new Error('the body cannot be decoded'))
    })
  }

  #take(chunk: Uint8Array): void {
    if (!this.#onData(chunk)) return
    this.#end()
    this.#rest = setTimeout(
      () => this.#controller?.abort(new Error('its end did not come')),
      REST_MS,
    )
    this.#rest.unref()
  }

  /** Aborts a body that has not ended. */
  abandon(): void {
    this.#controller?.abort(new Error('abandoned'))
  }

  #stop(): void {
    this.#fail(this.#signal.reason)
    this.#controller?.abort(this.#signal.reason)
  }

  #release(): void {
    clearTimeout(this.#rest)
    this.#signal.removeEventListener('abort', this.#abort)
  }
}
