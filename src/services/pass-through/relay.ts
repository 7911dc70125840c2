import type { AnswerMeter } from '../../claude/pass-through/answer-meter.ts'
import { responseHeaders } from '../../claude/pass-through/headers.ts'
import type {
  Upstream,
  UpstreamAnswer,
  UpstreamCall,
  UpstreamRequest,
} from '../../claude/pass-through/upstream.ts'
import { AppError } from '../../errors.ts'
import type { ClientAnswer } from './client-side.ts'

/** How an exchange ended. */
export type RelayEnd = {
  /** Null: no answer began. */
  status: number | null
  upstreamRequestId: string | null
  /** Why the answer is not whole; null when Anthropic ended it. */
  error: AppError | null
  msToFirstByte: number | null
}

type Options = {
  /** Beside those of the answer. */
  headers: Record<string, string>
  /**
   * What a client is told instead of an answer that would mislead it: a 401 would mean its own token,
   * not the stored key. Null: the answer passes.
   */
  instead: (status: number, upstreamRequestId: string | null) => AppError | null
  /** Whether others use the key too, who are not told whose it is. */
  isKeyShared: boolean
  onBodySent: () => void
  /** Ends the exchange for a reason of the gateway's own: an AppError. */
  stop: AbortSignal
}

/**
 * Sends a request, and passes the answer on chunk by chunk. It ends as Anthropic's does: a broken
 * answer is broken off, and never looks whole.
 */
export function relay(
  upstream: Upstream,
  request: UpstreamRequest,
  answer: ClientAnswer,
  meter: AnswerMeter,
  options: Options,
): Promise<RelayEnd> {
  return new Promise((resolve, reject) => {
    const exchange = new Relay(answer, meter, options, resolve)
    try {
      exchange.attach(upstream.send(request, exchange))
    } catch (error) {
      reject(error)
    }
  })
}

class Relay implements UpstreamAnswer {
  readonly #answer: ClientAnswer
  readonly #meter: AnswerMeter
  readonly #options: Options
  readonly #resolve: (end: RelayEnd) => void
  readonly #startedAt = performance.now()
  readonly #onLeft = () => this.#call?.abort(clientLeft())
  readonly #onStop = () => this.#call?.abort(this.#options.stop.reason)
  readonly #resume = () => this.#call?.resume()
  #call: UpstreamCall | undefined
  #status: number | null = null
  #upstreamRequestId: string | null = null
  #instead: AppError | null = null
  #msToFirstByte: number | null = null

  constructor(
    answer: ClientAnswer,
    meter: AnswerMeter,
    options: Options,
    resolve: (end: RelayEnd) => void,
  ) {
    this.#answer = answer
    this.#meter = meter
    this.#options = options
    this.#resolve = resolve
  }

  attach(call: UpstreamCall): void {
    this.#call = call
    this.#answer.left.addEventListener('abort', this.#onLeft, { once: true })
    this.#options.stop.addEventListener('abort', this.#onStop, { once: true })
    if (this.#answer.left.aborted) this.#onLeft()
    else if (this.#options.stop.aborted) this.#onStop()
  }

  onSent(): void {
    this.#meter.noteSent()
  }

  onHead(status: number, headers: Record<string, string | string[] | undefined>): void {
    this.#status = status
    this.#msToFirstByte = Math.round(performance.now() - this.#startedAt)
    this.#upstreamRequestId = firstOf(headers['request-id'])
    this.#options.onBodySent()
    this.#meter.begin(status, headers)
    const { headers: added, isKeyShared, instead } = this.#options
    this.#instead = instead(status, this.#upstreamRequestId)
    if (this.#instead) return
    this.#answer.head(status, { ...responseHeaders(headers, isKeyShared), ...added })
  }

  onData(chunk: Buffer): boolean {
    if (this.#instead) return true
    // Before it is metered: the client does not wait for that.
    const goesOn = this.#answer.write(chunk, this.#resume)
    this.#meter.add(chunk)
    return goesOn
  }

  onEnd(): void {
    if (this.#instead) this.#answer.fail(this.#instead)
    else this.#answer.end()
    this.#end(null)
  }

  onBroken(error: AppError, isStopped: boolean) {
    if (this.#instead) return this.onEnd()
    if (this.#status === null || isStopped) this.#answer.fail(error)
    else this.#answer.cut()
    this.#end(error)
  }

  #end(error: AppError | null): void {
    this.#answer.left.removeEventListener('abort', this.#onLeft)
    this.#options.stop.removeEventListener('abort', this.#onStop)
    this.#options.onBodySent()
    const upstreamRequestId = this.#upstreamRequestId
    const end = {
      status: this.#status,
      upstreamRequestId,
      error,
      msToFirstByte: this.#msToFirstByte,
    }
    void this.#meter.end(error === null).then(() => this.#resolve(end))
  }
}

const firstOf = (value: string | string[] | undefined): string | null =>
  (Array.isArray(value) ? value[0] : value)?.slice(0, 200) ?? null

const clientLeft = () => new AppError('cancelled', 'The client closed the connection.')
