import { APIError } from '@anthropic-ai/sdk/core/error'
import type { AppError } from '../errors.ts'
import {
  brokenStream,
  isTemperatureRefusal,
  requestIdOf,
  stoppedFailure,
  toFailure,
  unusableKeyFailure,
} from './failure.ts'
import { assertPlausibleKey, toProofFailure } from './key-proof.ts'
import { type ClaudeOutcome, toOutcome } from './outcome.ts'
import { type BuiltRequest, withoutTemperature } from './request.ts'
import { withRetry } from './retry.ts'
import { Reply } from './stream.ts'
import { isSendableKey, Transport } from './transport.ts'
import { Watch } from './watch.ts'

export type { ClaudeOutcome } from './outcome.ts'

const PROOF_DEADLINE_MS = 20_000
const DEFAULT_MAX_CONNECTIONS = 256

export interface Claude {
  /**
   * Resolves when Anthropic accepts the key. Free of charge.
   *
   * @throws AppError `invalid_api_key`, `rate_limited`, or `upstream_unavailable` when that could
   * not be found out.
   */
  proveKey(apiKey: string): Promise<void>

  /**
   * Asks Claude and waits for the whole answer. Never throws for upstream trouble: refusals,
   * failures and cancellation are outcomes, with whatever was received and what it cost.
   *
   * @param options.onText called for each piece of text with all of the text so far. The string is
   * cheap to hold and dear to read: read it seldom, not for every piece.
   */
  answer(
    apiKey: string,
    request: BuiltRequest,
    options: { signal: AbortSignal; onText?: ((textSoFar: string) => void) | undefined },
  ): Promise<ClaudeOutcome>

  /** What the last call found: any HTTP answer, errors included, counts as reachable. */
  lastSeen(): { status: 'unknown' | 'reachable' | 'unreachable'; at: Date | null }
}

type Limits = { deadlineMs: number; idleMs: number }

export class AnthropicClaude implements Claude {
  readonly #transport: Transport
  readonly #limits: Limits
  /** Models that refused a temperature although the table says they take one. */
  readonly #withoutTemperature = new Set<string>()
  #lastSeen: ReturnType<Claude['lastSeen']> = { status: 'unknown', at: null }

  /**
   * @param options.deadlineMs for a whole answer, retries included.
   * @param options.idleMs longest silence before the first event and between events; pings do not
   * count as events, and a model that is thinking may be silent.
   * @param options.maxConnections calls beyond it wait for a free one.
   */
  constructor(options: Limits & { baseUrl: string; maxConnections?: number }) {
    this.#limits = { deadlineMs: options.deadlineMs, idleMs: options.idleMs }
    this.#transport = new Transport({
      baseUrl: options.baseUrl,
      maxConnections: options.maxConnections ?? DEFAULT_MAX_CONNECTIONS,
    })
  }

  async proveKey(apiKey: string): Promise<void> {
    assertPlausibleKey(apiKey)
    const deadlineMs = Math.min(this.#limits.deadlineMs, PROOF_DEADLINE_MS)
    const watch = new Watch(new AbortController().signal, { ...this.#limits, deadlineMs })
    try {
      await withRetry(watch, () =>
        this.#noting(this.#transport.listOneModel(apiKey, watch.signal), watch),
      )
    } catch (thrown) {
      throw toProofFailure(thrown)
    } finally {
      watch.close()
    }
  }

  async answer(
    apiKey: string,
    request: BuiltRequest,
    { signal, onText }: { signal: AbortSignal; onText?: ((textSoFar: string) => void) | undefined },
  ): Promise<ClaudeOutcome> {
    const startedAt = performance.now()
    const watch = new Watch(signal, this.#limits)
    const { model, max_tokens: maxTokens } = request.body
    const reply = new Reply(model, maxTokens, onText)
    const warnings: string[] = []
    let error: AppError | null = null
    try {
      const stream = await this.#open(apiKey, request, watch, reply, warnings)
      reply.requestId = stream.requestId
      for await (const event of stream.events) {
        reply.add(event)
        if (reply.isThinking) watch.expectSilence()
        else watch.expectMore()
      }
      error = brokenStream()
    } catch (thrown) {
      reply.requestId ??= requestIdOf(thrown)
      error = toFailure(thrown, model)
      if (thrown instanceof APIError && watch.stopped === null) reply.isUnderWay = false
    } finally {
      watch.close()
    }
    if (watch.stopped !== null) error = stoppedFailure(watch.stopped)
    return toOutcome(reply, { error: reply.isFinished ? null : error, warnings, startedAt })
  }

  lastSeen(): ReturnType<Claude['lastSeen']> {
    return this.#lastSeen
  }

  /** Ends every connection; answers still running end as failed. */
  async close(): Promise<void> {
    await this.#transport.close()
  }

  /** Sends the request, and once more without its temperature when that alone is refused. */
  async #open(
    apiKey: string,
    request: BuiltRequest,
    watch: Watch,
    reply: Reply,
    warnings: string[],
  ) {
    if (!isSendableKey(apiKey)) throw unusableKeyFailure()
    if (watch.stopped !== null) throw stoppedFailure(watch.stopped)
    const { model, temperature } = request.body
    const send = (built: BuiltRequest) =>
      withRetry(watch, () => this.#noting(this.#attempt(apiKey, built, watch, reply), watch))
    if (temperature === undefined) return send(request)
    if (!this.#withoutTemperature.has(model)) {
      try {
        return await send(request)
      } catch (thrown) {
        if (!isTemperatureRefusal(thrown)) throw thrown
        this.#withoutTemperature.add(model)
      }
    }
    warnings.push(`temperature was left out: ${model} takes none any more.`)
    return send(withoutTemperature(request))
  }

  async #attempt(apiKey: string, request: BuiltRequest, watch: Watch, reply: Reply) {
    reply.isUnderWay = true
    try {
      return await this.#transport.openAnswer(apiKey, request, watch.signal)
    } catch (thrown) {
      // Stopped from this side, it may have been begun all the same.
      reply.isUnderWay = watch.stopped !== null
      throw thrown
    }
  }

  /** Remembers whether an attempt reached Anthropic; one the caller cancelled says nothing. */
  async #noting<T>(attempt: Promise<T>, watch: Watch): Promise<T> {
    try {
      const result = await attempt
      this.#lastSeen = { status: 'reachable', at: new Date() }
      return result
    } catch (thrown) {
      const answered = thrown instanceof APIError && thrown.status !== undefined
      if (answered || watch.stopped !== 'cancelled') {
        this.#lastSeen = { status: answered ? 'reachable' : 'unreachable', at: new Date() }
      }
      throw thrown
    }
  }
}
