import type { Readable } from 'node:stream'
import {
  APIConnectionError,
  APIConnectionTimeoutError,
  APIError,
} from '@anthropic-ai/sdk/core/error'
import { Pool } from 'undici'
import { EventReader, parseJson } from './event-stream.ts'
import { Exchange, type Head } from './exchange.ts'
import type { BuiltRequest } from './request.ts'
import { fieldsOf, toTokens } from './upstream-value.ts'

/** An answer that has begun to come. */
export interface AnswerStream {
  requestId: string | null
  /** Rejects with what breaks it, or with the `error` event in it. */
  ended: Promise<void>
}

type AnswerHooks = {
  /** The whole request is being written: from here on it may be billed. */
  onSent: () => void
  /** Told of each event as it arrives; the first may come before the answer is open. */
  onEvent: (event: unknown) => void
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

/**
 * One HTTP attempt at a time, without retries: the only place that puts a key on the wire.
 *
 * It speaks the Anthropic SDK's types and throws its errors, but does not use its client: that one
 * costs four times the CPU per call, and reads keys, addresses and headers from the environment.
 * Here a key lives in the arguments of its call and nowhere else. Redirects are not followed.
 */
export class Transport {
  readonly #basePath: string
  readonly #pool: Pool

  constructor(options: { baseUrl: string; maxConnections: number }) {
    const { origin, pathname } = new URL(options.baseUrl)
    this.#basePath = pathname.replace(/\/+$/, '')
    this.#pool = new Pool(origin, {
      connections: options.maxConnections,
      keepAliveTimeout: 30_000,
      // The caller's signal bounds the whole call, so undici's own limits would only cut it short.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  /** @throws APIError when the answer does not begin. */
  async openAnswer(
    apiKey: string,
    request: BuiltRequest,
    signal: AbortSignal,
    { onSent, onEvent }: AnswerHooks,
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
        requestId = requestIdOf(head)
        const reader = new EventReader(requestId, onEvent)
        return (chunk) => reader.push(chunk)
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
    const text: Uint8Array[] = []
    const { ended } = await this.#attempt(
      { method: 'POST', path, apiKey, apiVersion, body: JSON.stringify(counted), signal },
      () => (chunk) => text.push(Buffer.from(chunk)),
    )
    await ended
    return toTokens(fieldsOf(parseJson(Buffer.concat(text).toString('utf8'))).input_tokens)
  }

  /** The cheapest call that needs a valid key. @throws APIError */
  async listOneModel(apiKey: string, signal: AbortSignal): Promise<void> {
    const path = '/v1/models?limit=1'
    const attempt: Attempt = { method: 'GET', path, apiKey, apiVersion: '2026-10-21', signal }
    const { ended } = await this.#attempt(attempt, () => () => {})
    await ended
  }

  /** Ends every connection, calls in flight included. */
  async close(): Promise<void> {
    await this.#pool.destroy()
  }

  /** @param onSuccess told of the head of an answer that is none of an error. */
  async #attempt(attempt: Attempt, onSuccess: (head: Head) => (chunk: Uint8Array) => void) {
    const failure: { head?: Head; body: Uint8Array[] } = { body: [] }
    const exchange = new Exchange((head) => {
      if (head.status === 200) return onSuccess(head)
      failure.head = head
      return (chunk) => failure.body.push(Buffer.from(chunk))
    }, attempt.signal)
    this.#send(attempt, exchange)
    await exchange.opened.catch((thrown: unknown) => {
      throw toConnectionError(thrown)
    })
    const { ended } = exchange
    if (failure.head === undefined) return { ended }
    // What has come of the body tells more than that the rest has not.
    await ended.catch(() => {})
    const text = Buffer.concat(failure.body).toString('utf8')
    const error = parseJson(text)
    const { status } = failure.head
    throw APIError.generate(status, error, error ? undefined : text, toHeaders(failure.head))
  }

  #send({ method, path, apiKey, apiVersion, body, onSent }: Attempt, exchange: Exchange): void {
    const payload = body === undefined ? undefined : Buffer.from(body)
    this.#pool.dispatch(
      {
        method,
        path: this.#basePath + path,
        headers: {
          authorization: `Bearer ${apiKey}`,
          'anthropic-version': apiVersion,
          'content-type': 'application/json',
          'user-agent': 'claude-api-gateway',
          ...(payload && { 'content-length': String(payload.byteLength) }),
        },
        ...(payload && { body: new OneTimeBody(payload, onSent) as unknown as Readable }),
      },
      exchange,
    )
  }
}

/**
 * A body that is forgotten once it is sent: undici keeps a string or a buffer until the answer ends.
 * Its documentation has iterables, its types have not (undici documentation: Dispatcher.dispatch).
 */
class OneTimeBody implements Iterable<Buffer> {
  readonly #parts: Buffer[]
  readonly #onTaken: (() => void) | undefined

  /** @param onTaken told when there is a connection to write it to. */
  constructor(payload: Buffer, onTaken?: () => void) {
    this.#parts = [payload]
    this.#onTaken = onTaken
  }

  *[Symbol.iterator](): Iterator<Buffer> {
    this.#onTaken?.()
    for (let part = this.#parts.pop(); part; part = this.#parts.pop()) yield part
  }
}

const requestIdOf = ({ headers }: Head) => [headers['request-id'] ?? null].flat()[0] ?? null

/** Whether a key can be put into a header at all; if not, the error thrown would quote it. */
export function isSendableKey(apiKey: string): boolean {
  return /^[\x21-\x7e]+$/.test(apiKey)
}

function toHeaders({ headers }: Head): Headers {
  return new Headers(
    Object.entries(headers).flatMap(([name, value]) =>
      [value ?? []].flat().map((single): [string, string] => [name, single]),
    ),
  )
}

function toConnectionError(thrown: unknown): Error {
  const cause = thrown instanceof Error ? thrown : undefined
  const isTimeout = cause !== undefined && 'code' in cause && /TIMEOUT/.test(String(cause.code))
  return isTimeout ? new APIConnectionTimeoutError() : new APIConnectionError({ cause })
}
