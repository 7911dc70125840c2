import Anthropic from '@anthropic-ai/sdk'
import type { Stream } from '@anthropic-ai/sdk/core/streaming'
import type { RawMessageStreamEvent } from '@anthropic-ai/sdk/resources/messages'
import { Agent, fetch as undiciFetch } from 'undici'
import type { BuiltRequest } from './request.ts'

/** The fetch that belongs to our Agent; only the declared types of the two packages differ. */
const fetch = undiciFetch as unknown as typeof globalThis.fetch

interface AnswerStream {
  events: AsyncIterable<RawMessageStreamEvent>
  requestId: string | null
}

/**
 * One HTTP attempt at a time, without retries: the only place that holds a key and an SDK client.
 *
 * A client is made for each call and dropped with it, so that no key outlives its call and none can
 * be inherited by another user's. Everything the SDK would otherwise take from the environment
 * (key, base URL, extra headers, log level) is pinned: a stray variable must not redirect a user's
 * key or replace it with the operator's.
 */
export class Transport {
  readonly #baseUrl: string
  readonly #timeoutMs: number
  readonly #agent: Agent

  constructor(options: { baseUrl: string; timeoutMs: number; maxConnections: number }) {
    this.#baseUrl = options.baseUrl
    this.#timeoutMs = options.timeoutMs
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
    // `messages.create` is this call plus a console.warn for deprecated models.
    const { data, request_id: requestId } = await this.#client(apiKey)
      .post<Stream<RawMessageStreamEvent>>('/v1/messages', {
        body: request.body,
        stream: true,
        signal,
        headers: credentials(apiKey, request.apiVersion),
      })
      .withResponse()
    return { events: data, requestId: requestId ?? null } satisfies AnswerStream
  }

  /** The cheapest call that needs a valid key. @throws APIError */
  async listOneModel(apiKey: string, signal: AbortSignal): Promise<void> {
    await this.#client(apiKey).get('/v1/models', {
      query: { limit: 1 },
      signal,
      headers: credentials(apiKey, '2026-10-21'),
    })
  }

  /** Ends every connection, calls in flight included. */
  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  #client(apiKey: string): Anthropic {
    return new Anthropic({
      apiKey,
      baseURL: this.#baseUrl,
      logLevel: 'off',
      openTelemetry: false,
      maxRetries: 0,
      timeout: this.#timeoutMs,
      fetch,
      // A redirect would carry the key to wherever it points.
      fetchOptions: { dispatcher: this.#agent, redirect: 'manual' },
    })
  }
}

/** Whether a key can be put into a header at all; if not, the error thrown would quote it. */
export function isSendableKey(apiKey: string): boolean {
  return /^[\x21-\x7e]+$/.test(apiKey)
}

/** Said again for each request: only these win over ANTHROPIC_CUSTOM_HEADERS. */
function credentials(apiKey: string, apiVersion: string) {
  return {
    'anthropic-version': apiVersion,
    authorization: `Bearer ${apiKey}`,
    'x-api-key': null,
  }
}
