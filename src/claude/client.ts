import { APIConnectionError, APIError } from '@anthropic-ai/sdk/core/error'
import type { AppError } from '../errors.ts'
import type { Outgoing } from '../network/outgoing.ts'
import { assertPlausibleKey, toProofFailure } from './key-proof.ts'
import { MessageAccumulator } from './message-accumulator.ts'
import { type ClaudeOutcome, toOutcome } from './outcome.ts'
import { boundsOf } from './prices/usage-bounds.ts'
import { type BuiltRequest, withoutTemperature } from './request.ts'
import { ForeignAnswer, UnreadableAnswer } from './transport/answer-errors.ts'
import { CallDeadline, type Limits } from './transport/call-deadline.ts'
import {
  brokenStream,
  isTemperatureRefusal,
  requestIdOf,
  stoppedFailure,
  toFailure,
  unusableKeyFailure,
} from './transport/failure.ts'
import { withRetry } from './transport/retry.ts'
import {
  type AnswerHooks,
  type AnswerStream,
  isSendableKey,
  Transport,
} from './transport/transport.ts'

export type { ClaudeOutcome } from './outcome.ts'

const PROOF_DEADLINE_MS = 20_000
const COUNT_DEADLINE_MS = 3000
const DEFAULT_MAX_CONNECTIONS = 10_000

export interface Claude {
  /**
   * Resolves when Anthropic accepts the key. Free of charge.
   *
   * @throws AppError `invalid_api_key`, `rate_limited`, or `upstream_unavailable` when Anthropic
   * could not be asked.
   */
  proveKey(apiKey: string): Promise<void>

  /**
   * Asks Claude and waits for the whole answer. Never throws for upstream trouble: refusals,
   * failures and cancellation are outcomes, with what was received and what it cost.
   *
   * @param options.inputAtMost most input tokens of the request; by default the bytes of its text.
   * @param options.repeatsLost whether to retry a request that was sent and got no response; true
   * by default. Then the usage includes both, since both may be billed.
   * @param options.onBegun called when Anthropic has accepted the request and begins to answer: no
   * retry follows.
   * @param options.onText called for each piece of text with all of the text so far. The string is
   * cheap to hold and expensive to read: read it seldom, not for every piece.
   */
  answer(apiKey: string, request: BuiltRequest, options: AnswerOptions): Promise<ClaudeOutcome>

  /**
   * How many input tokens Anthropic counts in a request: an estimate, free of charge, without a
   * model call. Null when no count comes within 3 s; never throws.
   */
  countTokens(apiKey: string, request: BuiltRequest, signal: AbortSignal): Promise<number | null>

  /** The result of the last call: any answer of Anthropic, errors included, counts as reachable. */
  lastSeen(): { status: 'unknown' | 'reachable' | 'unreachable'; at: Date | null }
}

export type AnswerOptions = {
  signal: AbortSignal
  inputAtMost?: number
  repeatsLost?: boolean
  onBegun?: () => void
  onText?: ((textSoFar: string) => void) | undefined
}

type Call = {
  watch: CallDeadline
  reply: MessageAccumulator
  warnings: string[]
  repeatsLost: boolean
}

export class AnthropicClaude implements Claude {
  readonly #transport: Transport
  readonly #limits: Limits
  /** Models that refused a temperature although the table says they accept one. */
  readonly #withoutTemperature = new Set<string>()
  #lastSeen: ReturnType<Claude['lastSeen']> = { status: 'unknown', at: null }

  /**
   * @param options.deadlineMs for a whole answer, retries included.
   * @param options.firstTokenMs longest silence before the first text, which pings break.
   * @param options.idleMs longest silence after it, which pings do not break: they also come when
   * the model no longer writes. A model that is thinking may be silent.
   * @param options.outgoing proxy settings; direct by default.
   * @param options.maxConnections further calls wait for a free connection.
   */
  constructor(
    options: Limits & { baseUrl: string; maxConnections?: number; outgoing?: Outgoing | undefined },
  ) {
    const { deadlineMs, idleMs, firstTokenMs } = options
    this.#limits = { deadlineMs, idleMs, firstTokenMs }
    this.#transport = new Transport({
      baseUrl: options.baseUrl,
      outgoing: options.outgoing,
      maxConnections: options.maxConnections ?? DEFAULT_MAX_CONNECTIONS,
    })
  }

  async proveKey(apiKey: string): Promise<void> {
    assertPlausibleKey(apiKey)
    const deadlineMs = Math.min(this.#limits.deadlineMs, PROOF_DEADLINE_MS)
    const watch = new CallDeadline(new AbortController().signal, { ...this.#limits, deadlineMs })
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

  async countTokens(
    apiKey: string,
    request: BuiltRequest,
    signal: AbortSignal,
  ): Promise<number | null> {
    if (!isSendableKey(apiKey)) return null
    const watch = new CallDeadline(signal, { ...this.#limits, deadlineMs: COUNT_DEADLINE_MS })
    try {
      return (await this.#transport.countTokens(apiKey, request, watch.signal)) || null
    } catch {
      return null
    } finally {
      watch.close()
    }
  }

  /** Not async, so that the request can be collected while the answer streams. */
  answer(apiKey: string, request: BuiltRequest, options: AnswerOptions): Promise<ClaudeOutcome> {
    const startedAt = performance.now()
    const watch = new CallDeadline(options.signal, this.#limits)
    const reply = new MessageAccumulator(
      request.body.model,
      boundsOf(request.body, options.inputAtMost),
      options.onText,
    )
    const warnings: string[] = []
    const { repeatsLost = true } = options
    const opening = this.#open(apiKey, request, { watch, reply, warnings, repeatsLost })
    return this.#follow(opening, watch, reply, options.onBegun).then((error) =>
      toOutcome(reply, { error, warnings, startedAt }),
    )
  }

  /** @returns why the answer is incomplete; null when it is complete. */
  async #follow(
    opening: Promise<AnswerStream>,
    watch: CallDeadline,
    reply: MessageAccumulator,
    onBegun: (() => void) | undefined,
  ): Promise<AppError | null> {
    let error: AppError | undefined
    const { model } = reply
    try {
      const stream = await opening
      reply.requestId = stream.requestId
      onBegun?.()
      await stream.ended
    } catch (thrown) {
      reply.requestId ??= requestIdOf(thrown)
      error = toFailure(thrown, model)
      if (isFree(thrown) && watch.stopped === null) reply.noteError()
    } finally {
      watch.close()
    }
    if (reply.isFinished) return null
    return watch.stopped === null ? (error ?? brokenStream()) : stoppedFailure(watch.stopped)
  }

  lastSeen(): ReturnType<Claude['lastSeen']> {
    return this.#lastSeen
  }

  /** Ends every connection; answers still running end as failed. */
  async close(): Promise<void> {
    await this.#transport.close()
  }

  /** Sends the request, and retries without its temperature when only that is refused. */
  async #open(apiKey: string, request: BuiltRequest, call: Call): Promise<AnswerStream> {
    const { watch, reply, warnings, repeatsLost } = call
    if (!isSendableKey(apiKey)) throw unusableKeyFailure()
    if (watch.stopped !== null) throw stoppedFailure(watch.stopped)
    const { model, temperature } = request.body
    const send = (built: BuiltRequest) =>
      withRetry(watch, () => this.#noting(this.#attempt(apiKey, built, watch, reply), watch), {
        mayRepeat: () => repeatsLost || !reply.isUnderWay,
      })
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

  async #attempt(
    apiKey: string,
    request: BuiltRequest,
    watch: CallDeadline,
    reply: MessageAccumulator,
  ) {
    reply.beginAttempt()
    try {
      const hooks = hooksOf(reply, watch)
      return await this.#transport.openAnswer(apiKey, request, watch.signal, hooks)
    } catch (thrown) {
      if (isFree(thrown)) reply.noteError()
      throw thrown
    }
  }

  /** Records whether an attempt reached Anthropic, unless the caller cancelled it. */
  async #noting<T>(attempt: Promise<T>, watch: CallDeadline): Promise<T> {
    try {
      const result = await attempt
      this.#lastSeen = { status: 'reachable', at: new Date() }
      return result
    } catch (thrown) {
      const answered = isFromAnthropic(thrown)
      if (answered || watch.stopped !== 'cancelled') {
        this.#lastSeen = { status: answered ? 'reachable' : 'unreachable', at: new Date() }
      }
      throw thrown
    }
  }
}

function hooksOf(reply: MessageAccumulator, watch: CallDeadline): AnswerHooks {
  const expect = () => {
    if (reply.isThinking) watch.expectSilence()
    else if (!reply.content.hasTextBegun) watch.expectFirst()
    else watch.expectMore()
  }
  return {
    onSent: () => reply.noteSent(),
    onEvent: (event) => {
      reply.add(event)
      expect()
    },
    onPing: () => {
      if (!reply.content.hasTextBegun) expect()
    },
    isOver: () => reply.isFinished,
  }
}

/** An error that was received: an HTTP status, or an `error` event of a stream. */
const isAnswer = (thrown: unknown): thrown is APIError =>
  thrown instanceof APIError && !(thrown instanceof APIConnectionError)

/** Nothing is billed for a request that Anthropic refused or did not receive. */
const isFree = (thrown: unknown) =>
  isAnswer(thrown) && !(thrown instanceof ForeignAnswer && thrown.isOfLateness)

const isFromAnthropic = (thrown: unknown) =>
  thrown instanceof UnreadableAnswer || (isAnswer(thrown) && !(thrown instanceof ForeignAnswer))
