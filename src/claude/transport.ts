import {
  APIConnectionError,
  APIConnectionTimeoutError,
  APIError,
} from '@anthropic-ai/sdk/core/error'
import type { RawMessageStreamEvent } from '@anthropic-ai/sdk/resources/messages'
import { Agent, type Dispatcher, request as send } from 'undici'
import { parseJson, readEvents } from './event-stream.ts'
import type { BuiltRequest } from './request.ts'

interface AnswerStream {
  events: AsyncIterable<RawMessageStreamEvent>
  requestId: string | null
}

type Attempt = {
  method: 'GET' | 'POST'
  path: string
  apiKey: string
  apiVersion: BuiltRequest['apiVersion']
  signal: AbortSignal
  body?: string
}

/**
 * One HTTP attempt at a time, without retries: the only place that puts a key on the wire.
 *
 * It speaks the Anthropic SDK's types and throws its errors, but does not use its client: that one
 * costs four times the CPU per call, and reads keys, addresses and headers from the environment.
 * Here a key lives in the arguments of its call and nowhere else. Redirects are not followed.
 */
export class Transport {
  readonly #baseUrl: string
  readonly #agent: Agent

  constructor(options: { baseUrl: string; maxConnections: number }) {
    this.#baseUrl = options.baseUrl.replace(/\/+$/, '')
    this.#agent = new Agent({
      connections: options.maxConnections,
      keepAliveTimeout: 30_000,
      // The caller's signal bounds the whole call, so undici's own limits would only cut it short.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  /** @throws APIError before the first event; the stream itself throws what breaks it later. */
  async openAnswer(apiKey: string, request: BuiltRequest, signal: AbortSignal) {
    const { body, headers } = await this.#attempt({
      method: 'POST',
      path: '/v1/messages',
      apiKey,
      apiVersion: request.apiVersion,
      body: JSON.stringify(request.body),
      signal,
    })
    const requestId = [headers['request-id'] ?? null].flat()[0] ?? null
    return { events: readEvents(body, requestId), requestId } satisfies AnswerStream
  }

  /** The cheapest call that needs a valid key. @throws APIError */
  async listOneModel(apiKey: string, signal: AbortSignal): Promise<void> {
    const { body } = await this.#attempt({
      method: 'GET',
      path: '/v1/models?limit=1',
      apiKey,
      apiVersion: '2026-10-21',
      signal,
    })
    await body.dump()
  }

  /** Ends every connection, calls in flight included. */
  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  async #attempt(attempt: Attempt) {
    const response = await this.#send(attempt)
    if (response.statusCode === 200) return response
    const text = await response.body.text()
    const error = parseJson(text)
    const headers = toHeaders(response)
    throw APIError.generate(response.statusCode, error, error ? undefined : text, headers)
  }

  async #send({ method, path, apiKey, apiVersion, signal, body }: Attempt) {
    try {
      return await send(`${this.#baseUrl}${path}`, {
        dispatcher: this.#agent,
        method,
        signal,
        headers: {
          authorization: `Bearer ${apiKey}`,
          'anthropic-version': apiVersion,
          'content-type': 'application/json',
          'user-agent': 'claude-api-gateway',
        },
        ...(body === undefined ? {} : { body }),
      })
    } catch (thrown) {
      throw toConnectionError(thrown)
    }
  }
}

/** Whether a key can be put into a header at all; if not, the error thrown would quote it. */
export function isSendableKey(apiKey: string): boolean {
  return /^[\x21-\x7e]+$/.test(apiKey)
}

function toHeaders({ headers }: Dispatcher.ResponseData): Headers {
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
