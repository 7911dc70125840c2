/**
 * One exchange with Anthropic, byte for byte: no retries, no redirects, and nothing decoded. The
 * caller gets each chunk as it arrives, and stops the flow while its own reader is slow.
 */

import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { AppError } from '../../errors.ts'
import { Outgoing } from '../../network/outgoing.ts'
import { ForeignAnswer } from '../transport/answer-errors.ts'
import { connectionError } from '../transport/connection-errors.ts'
import { toFailure } from '../transport/failure.ts'
import { foreignFailure, isForGateway } from '../transport/foreign-answers.ts'
import { OneTimeBody } from '../transport/one-time-body.ts'

export type UpstreamRequest = {
  method: 'GET' | 'POST'
  /** With its query. */
  path: string
  headers: Record<string, string[]>
  /** Taken out when it is sent; parts of one body follow each other. */
  body: Buffer | readonly Buffer[] | null
  /** Whether the answer comes in pieces: then silence before it is no sign of long work. */
  isStream: boolean
}

/** Called in this order; exactly one of the last two comes. */
export interface UpstreamAnswer {
  /** The whole request is being written: from here on it may be billed. */
  onSent(): void
  onHead(status: number, headers: Record<string, string | string[] | undefined>): void
  /** @returns whether to go on; if not, {@link UpstreamCall.resume} does. */
  onData(chunk: Buffer): boolean
  onEnd(): void
  /**
   * The exchange broke off, before the head or after it.
   *
   * @param isStopped whether this side ended it: its caller, or a limit on silence.
   */
  onBroken(error: AppError, isStopped: boolean): void
}

export interface UpstreamCall {
  resume(): void
  /** Closes the connection to Anthropic at once. */
  abort(reason: AppError): void
}

export type UpstreamLimits = {
  /** Longest silence before the head of a stream. */
  streamHeadMs: number
  /** The same for an answer in one piece, which may take as long as it takes to write. */
  wholeHeadMs: number
  /** Longest silence after the head; pings and comments break it. */
  idleMs: number
}

const UPSTREAM_LIMITS: UpstreamLimits = {
  streamHeadMs: 600_000,
  wholeHeadMs: 3_600_000,
  idleMs: 300_000,
}

type Options = {
  baseUrl: string
  /** One connection serves one call at a time. */
  maxConnections?: number
  outgoing?: Outgoing | undefined
  limits?: UpstreamLimits
}

const DEFAULT_MAX_CONNECTIONS = 10_000
const RETRY_AFTER_SECONDS = 5

export class Upstream {
  readonly #origin: string
  readonly #basePath: string
  readonly #pool: Dispatcher
  readonly #isProxied: boolean
  readonly #maxConnections: number
  readonly #limits: UpstreamLimits
  #open = 0

  constructor(options: Options) {
    const { outgoing = new Outgoing(), maxConnections = DEFAULT_MAX_CONNECTIONS } = options
    const url = new URL(options.baseUrl)
    this.#origin = url.origin
    this.#basePath = url.pathname.replace(/\/+$/, '')
    this.#isProxied = outgoing.proxyFor(url) !== undefined
    this.#maxConnections = maxConnections
    this.#limits = options.limits ?? UPSTREAM_LIMITS
    this.#pool = outgoing.open(url, {
      connections: maxConnections,
      // Anthropic's edge closes idle connections after minutes, and a request on one is lost.
      keepAliveTimeout: 30_000,
      // Silence is measured here: undici's own limits would only cut it short.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  /** @throws AppError overloaded when every connection is in use. */
  send(request: UpstreamRequest, answer: UpstreamAnswer): UpstreamCall {
    if (this.#open >= this.#maxConnections) throw tooManyCalls()
    this.#open += 1
    const { streamHeadMs, wholeHeadMs, idleMs } = this.#limits
    const exchange = new RawExchange(answer, {
      headMs: request.isStream ? streamHeadMs : wholeHeadMs,
      idleMs,
      isProxied: this.#isProxied,
      onOver: () => {
        this.#open -= 1
      },
    })
    const { method, path, headers, body } = request
    request.body = null
    this.#pool.dispatch(
      {
        origin: this.#origin,
        method,
        path: this.#basePath + path,
        headers: { ...headers, ...(body && { 'content-length': String(sizeOf(body)) }) },
        ...(body && {
          body: new OneTimeBody(body, () => answer.onSent()) as unknown as Readable,
        }),
      },
      exchange,
    )
    return exchange
  }

  /** Ends every connection, calls in flight included. */
  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}

type Terms = { headMs: number; idleMs: number; isProxied: boolean; onOver: () => void }

class RawExchange implements Dispatcher.DispatchHandler, UpstreamCall {
  readonly #answer: UpstreamAnswer
  readonly #terms: Terms
  #controller: Dispatcher.DispatchController | undefined
  #stopped: AppError | undefined
  #silence: NodeJS.Timeout
  #isOver = false

  constructor(answer: UpstreamAnswer, terms: Terms) {
    this.#answer = answer
    this.#terms = terms
    this.#silence = setTimeout(() => this.abort(silent()), terms.headMs)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#stopped) controller.abort(this.#stopped)
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // undici would keep the raw headers until the body ends.
    controller.rawHeaders = null
    if (status < 200 || this.#isOver) return
    this.#listen()
    this.#answer.onHead(status, headers)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return
    this.#silence.refresh()
    if (this.#answer.onData(chunk)) return
    // A slow reader is no silence of Anthropic's.
    clearTimeout(this.#silence)
    controller.pause()
  }

  onResponseEnd(): void {
    if (this.#end()) this.#answer.onEnd()
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: unknown): void {
    if (!this.#end()) return
    const failure = () => toFailure(connectionError(error, this.#terms.isProxied), '')
    this.#answer.onBroken(this.#stopped ?? failure(), this.#stopped !== undefined)
  }

  resume(): void {
    if (this.#isOver) return
    this.#listen()
    this.#controller?.resume()
  }

  abort(reason: AppError): void {
    if (this.#isOver) return
    this.#stopped ??= reason
    this.#controller?.abort(reason)
    // Also while it waits for a connection.
    if (this.#end()) this.#answer.onBroken(this.#stopped, true)
  }

  #listen(): void {
    clearTimeout(this.#silence)
    this.#silence = setTimeout(() => this.abort(silent()), this.#terms.idleMs)
  }

  /** @returns whether this call ended it. */
  #end(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    clearTimeout(this.#silence)
    this.#terms.onOver()
    return true
  }
}

const sizeOf = (body: Buffer | readonly Buffer[]): number =>
  Buffer.isBuffer(body) ? body.length : body.reduce((sum, { length }) => sum + length, 0)

/** The error for a status that only the gateway can act on, such as a redirect; null for others. */
export const answerOfHop = (status: number): AppError | null =>
  isForGateway(status)
    ? foreignFailure(new ForeignAnswer(status, undefined, undefined, new Headers()))
    : null

const silent = () =>
  new AppError('upstream_timeout', 'Anthropic fell silent. Try again, or ask for less at once.')

const tooManyCalls = () =>
  new AppError(
    'overloaded',
    `The gateway has as many calls open to Anthropic as it may. Try again in ${RETRY_AFTER_SECONDS} s.`,
    { retryAfterSeconds: RETRY_AFTER_SECONDS },
  )
