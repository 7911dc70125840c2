import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { APIConnectionError, APIConnectionTimeoutError } from '@anthropic-ai/sdk/core/error'
import type { Dispatcher } from 'undici'
import { Outgoing, tunnelFailureOf } from '../outgoing.ts'
import { VERSION } from '../version.ts'
import {
  ForeignAnswer,
  ProxyAway,
  requestIdOf,
  toAnswerError,
  UnreadableAnswer,
} from './answer-errors.ts'
import { streamBytesAtMost, WholeBody, within } from './body-bounds.ts'
import { codingsOf } from './content-coding.ts'
import { EventReader, parseJson } from './event-stream.ts'
import { Exchange, type Head, type OnData } from './exchange.ts'
import { OneTimeBody } from './one-time-body.ts'
import type { BuiltRequest } from './request.ts'
import { fieldsOf, toTokens } from './upstream-value.ts'

/** An answer that has begun to come. */
export interface AnswerStream {
  requestId: string | null
  /** Rejects with what breaks it, or with the `error` event in it. */
  ended: Promise<void>
}

export type AnswerHooks = {
  /** The whole request is being written: from here on it may be billed. */
  onSent: () => void
  /** Told of each event as it arrives; the first may come before the answer is open. */
  onEvent: (event: unknown) => void
  /** Told of what is sent to show that the connection lives: pings, and comments of proxies. */
  onPing: () => void
  /** Whether the last event was the end of the answer. */
  isOver: () => boolean
}

type Attempt = {
  method: 'GET' | 'POST'
  path: string
  apiKey: string
  apiVersion: BuiltRequest['apiVersion']
  signal: AbortSignal
  body?: string
  onSent?: () => void
}

/** So long an error may take to come, once it has begun. */
const ERROR_BODY_MS = 5000

/**
 * One HTTP attempt at a time, without retries: the only place that puts a key on the wire.
 *
 * It speaks the Anthropic SDK's types and throws its errors, but does not use its client: that one
 * costs four times the CPU per call, and reads keys, addresses and headers from the environment.
 * Here a key lives in the arguments of its call and nowhere else. Redirects are not followed.
 */
export class Transport {
  readonly #origin: string
  readonly #basePath: string
  readonly #pool: Dispatcher
  readonly #proxy: ReturnType<Outgoing['proxyFor']>

  /** @param options.outgoing directly, unless it is given. */
  constructor(options: {
    baseUrl: string
    maxConnections: number
    outgoing?: Outgoing | undefined
  }) {
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

  /** @throws APIError or UnreadableAnswer when the answer does not begin. */
  async openAnswer(
    apiKey: string,
    request: BuiltRequest,
    signal: AbortSignal,
    { onSent, onEvent, onPing, isOver }: AnswerHooks,
  ): Promise<AnswerStream> {
    let requestId: string | null = null
    const { ended } = await this.#attempt(
      {
        method: 'POST',
        path: '/v1/messages',
        apiKey,
        apiVersion: request.apiVersion,
        body: JSON.stringify(request.body),
        signal,
        onSent,
      },
      (head) => {
        if (!isEventStream(head)) return undefined
        requestId = requestIdOf(head)
        const reader = new EventReader(requestId, onEvent, onPing)
        return within(streamBytesAtMost(request.body.max_tokens), (chunk) => {
          reader.push(chunk)
          return isOver()
        })
      },
    )
    return { requestId, ended }
  }

  /**
   * Anthropic's own count of a request's input (Anthropic API docs: Token counting).
   *
   * @returns undefined when the answer holds none.
   * @throws APIError
   */
  async countTokens(
    apiKey: string,
    { body, apiVersion }: BuiltRequest,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { model, system, messages, thinking, output_config, cache_control } = body
    const counted = { model, system, messages, thinking, output_config, cache_control }
    const path = '/v1/messages/count_tokens'
    const answer = new WholeBody()
    const { ended } = await this.#attempt(
      { method: 'POST', path, apiKey, apiVersion, body: JSON.stringify(counted), signal },
      () => answer.add,
    )
    await ended
    return toTokens(fieldsOf(parseJson(answer.text)).input_tokens)
  }

  /** The cheapest call that needs a valid key. @throws APIError */
  async listOneModel(apiKey: string, signal: AbortSignal): Promise<void> {
    const path = '/v1/models?limit=1'
    const attempt: Attempt = { method: 'GET', path, apiKey, apiVersion: '2026-10-21', signal }
    const answer = new WholeBody()
    let head: Head | undefined
    const { ended } = await this.#attempt(attempt, (given) => {
      head = given
      return answer.add
    })
    await ended
    const { data } = fieldsOf(parseJson(answer.text))
    if (head && !Array.isArray(data)) throw toAnswerError(head, answer.text)
  }

  /** Ends every connection, calls in flight included. */
  async close(): Promise<void> {
    await this.#pool.destroy()
  }

  /**
   * @param onSuccess told of the head of an answer that is none of an error; gives back undefined
   *   when it is none of Claude's either.
   */
  async #attempt(attempt: Attempt, onSuccess: (head: Head) => OnData | undefined) {
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
      throw this.#proxy === undefined ? toConnectionError(thrown) : toTunnelError(thrown)
    })
    const { ended } = exchange
    if (failure === undefined) return { ended }
    // What has come of the body tells more than that the rest has not.
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

/** What does not say what it is is taken for what was asked for. */
const isEventStream = ({ headers }: Head) =>
  /^(text\/event-stream\b|$)/i.test([headers['content-type'] ?? ''].flat()[0]?.trim() ?? '')

/** Whether a key can be put into a header at all; if not, the error thrown would quote it. */
export function isSendableKey(apiKey: string): boolean {
  return /^[\x21-\x7e]+$/.test(apiKey)
}

/** What a proxy answers of its own is as foreign as what it would answer in Claude's place. */
function toTunnelError(thrown: unknown): Error {
  const failure = tunnelFailureOf(thrown)
  if (failure === undefined) return toConnectionError(thrown)
  if ('code' in failure) return new ProxyAway({ cause: thrown as Error })
  return new ForeignAnswer(failure.status, undefined, undefined, new Headers())
}

function toConnectionError(thrown: unknown): Error {
  const cause = thrown instanceof Error ? thrown : undefined
  const isTimeout = cause !== undefined && 'code' in cause && /TIMEOUT/.test(String(cause.code))
  return isTimeout ? new APIConnectionTimeoutError() : new APIConnectionError({ cause })
}
