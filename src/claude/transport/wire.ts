/**
 * Single HTTP attempts, without retries: the only place that puts a key on the wire.
 *
 * It throws the Anthropic SDK's errors, but does not use its client, which costs four times the CPU
 * per call, and reads keys, addresses and headers from the environment. Here a key exists only in
 * the arguments of its call. Redirects are not followed.
 */

import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Dispatcher } from 'undici'
import { Outgoing } from '../../network/outgoing.ts'
import { VERSION } from '../../version.ts'
import type { BuiltRequest } from '../request.ts'
import { toAnswerError, UnreadableAnswer } from './answer-errors.ts'
import { WholeBody } from './body-bounds.ts'
import { connectionError } from './connection-errors.ts'
import { codingsOf } from './content-coding.ts'
import { Exchange, type Head, type OnData } from './exchange.ts'
import { OneTimeBody } from './one-time-body.ts'

export type Attempt = {
  method: 'GET' | 'POST'
  path: string
  apiKey: string
  apiVersion: BuiltRequest['apiVersion']
  signal: AbortSignal
  body?: string
  onSent?: () => void
}

/** How long the body of an error may take. */
const ERROR_BODY_MS = 5000

export type WireOptions = {
  baseUrl: string
  maxConnections: number
  /** Proxy settings; direct unless given. */
  outgoing?: Outgoing | undefined
}

export class Wire {
  readonly #origin: string
  readonly #basePath: string
  readonly #pool: Dispatcher
  readonly #proxy: ReturnType<Outgoing['proxyFor']>

  constructor(options: WireOptions) {
    const { outgoing = new Outgoing() } = options
    const url = new URL(options.baseUrl)
    this.#origin = url.origin
    this.#basePath = url.pathname.replace(/\/+$/, '')
    this.#proxy = outgoing.proxyFor(url)
    this.#pool = outgoing.open(url, {
      connections: options.maxConnections,
      keepAliveTimeout: 30_000,
      // The caller's signal bounds the whole call, so undici's own limits would only cut it short.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  /** Ends every connection, calls in flight included. */
  async close(): Promise<void> {
    await this.#pool.destroy()
  }

  /**
   * @param onSuccess gets the head of an answer with status 200; returns undefined when it is not
   *   Claude's.
   * @throws APIError or UnreadableAnswer when the expected answer does not begin.
   */
  async attempt(attempt: Attempt, onSuccess: (head: Head) => OnData | undefined) {
    const failed = new WholeBody()
    let failure: Head | undefined
    const exchange = new Exchange((head) => {
      const onData = head.status === 200 ? onSuccess(head) : undefined
      if (onData === undefined) failure = head
      else if (codingsOf(head.headers['content-encoding']) === undefined) return refuse
      return onData ?? failed.add
    }, attempt.signal)
    this.#send(attempt, exchange)
    await exchange.opened.catch((thrown: unknown) => {
      throw connectionError(thrown, this.#proxy !== undefined)
    })
    const { ended } = exchange
    if (failure === undefined) return { ended }
    // A partial body says more about the error than its missing rest.
    await Promise.race([ended.catch(() => {}), sleep(ERROR_BODY_MS, undefined, { ref: false })])
    exchange.abandon()
    throw toAnswerError(failure, failed.text)
  }

  #send({ method, path, apiKey, apiVersion, body, onSent }: Attempt, exchange: Exchange): void {
    const payload = body === undefined ? undefined : Buffer.from(body)
    this.#pool.dispatch(
      {
        origin: this.#origin,
        method,
        path: this.#basePath + path,
        headers: {
          authorization: `Bearer ${apiKey}`,
          'anthropic-version': apiVersion,
          'content-type': 'application/json',
          'accept-encoding': 'identity',
          'user-agent': USER_AGENT,
          ...(payload && { 'content-length': String(payload.byteLength) }),
        },
        ...(payload && { body: new OneTimeBody(payload, onSent) as unknown as Readable }),
      },
      exchange,
    )
  }
}

const USER_AGENT = `claude-api-gateway/${VERSION}`

const refuse: OnData = () => {
  throw new UnreadableAnswer()
}
