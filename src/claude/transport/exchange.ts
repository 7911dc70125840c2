import type { Writable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { codingsOf, openDecoder } from './content-coding.ts'

/**
 * So long the rest of a body may still come that nobody waits for: mostly it is its end, after which
 * the connection serves the next call.
 */
const REST_MS = 1000

export type Head = { status: number; headers: Record<string, string | string[] | undefined> }

/** Told of each piece of a body; gives back whether it has all that it waits for. */
export type OnData = (chunk: Uint8Array) => boolean

/**
 * One HTTP exchange, from undici's own callbacks: what arrives is handed on where it arrives.
 *
 * undici's `request` puts a Readable between, and reading that by `for await` an iterator and several
 * promises more for every chunk: for text that comes word by word, most of the work and the memory.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  /** Once `onHead` was told. Rejects when the exchange ends before. */
  readonly opened: Promise<void>
  /**
   * The end of the body, or of what is waited for in it. Rejects when it breaks off before, or with
   * what `onData` threw.
   */
  readonly ended: Promise<void>
  readonly #onHead: (head: Head) => OnData
  readonly #signal: AbortSignal
  readonly #abort = () => this.#stop()
  #controller: Dispatcher.DispatchController | undefined
  #onData: OnData = () => false
  /** Of a body that is not as it was written. */
  #decoder: Writable | undefined
  #rest: NodeJS.Timeout | undefined
  #open!: () => void
  #end!: () => void
  #fail!: (error: unknown) => void

  /**
   * @param onHead told of status and headers; gives back what is told of each piece of the body, as
   *   it was written before anybody compressed it.
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

  /** Nothing more of it is of use: a body that has not ended is broken off. */
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
