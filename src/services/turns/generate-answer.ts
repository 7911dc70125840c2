/** Asks Claude for the answer to a turn that has begun. Independent of how either is stored. */

import type { Claude, ClaudeOutcome } from '../../claude/client.ts'
import { UNKNOWN_RATE } from '../../claude/prices/usage.ts'
import { type BuiltRequest, buildRequest } from '../../claude/request.ts'
import { toAppError } from '../../errors.ts'
import { isLimited } from '../billing/budgets.ts'
import { halveHistory, SentHistory, toMessages } from '../conversations/history/history-window.ts'
import type { SendInput, StartedTurn } from './turn.ts'

/** The user's API key, and the id by which Anthropic may tell users apart. */
export type Credentials = { apiKey: string; endUserId: string }

/** `turn` is the one that was finally sent: it may have fewer earlier turns than at the start. */
export type Generated = { turn: StartedTurn; outcome: ClaudeOutcome; warnings: string[] }

/** Everything that a request is made of besides its caller's own input. */
export type AskedTurn = Pick<StartedTurn, 'model' | 'systemPrompt' | 'maxTokens'> & {
  history: Pick<SentHistory, 'turns'>
}

type CallOptions = { signal: AbortSignal; onText: (textSoFar: string) => void }
type Deps = { claude: Claude; defaultTemperature: number | undefined }

export class Generation {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Anthropic's count of a turn's input, free of charge; null when unavailable. Never throws. */
  async countInput(
    turn: AskedTurn,
    { apiKey, endUserId }: Credentials,
    input: SendInput,
    signal: AbortSignal,
  ): Promise<number | null> {
    const request = this.#build(turn, endUserId, input)
    return this.#deps.claude.countTokens(apiKey, request, signal)
  }

  /**
   * Halves a history that Anthropic finds too long, once; frees it once Anthropic has accepted it.
   * Throws only for an internal error before anything was sent: {@link failedAnswer}.
   */
  async run(
    turn: StartedTurn,
    credentials: Credentials,
    input: SendInput,
    options: CallOptions,
  ): Promise<Generated> {
    const first = await this.#call(turn, credentials, input, options)
    const { error, usage } = first.outcome
    // A usage means that a request before the refused one may have been billed.
    if (error?.code !== 'context_too_long' || turn.history.turns.length === 0 || usage !== null)
      return first
    const history = new SentHistory(halveHistory(turn.history.turns))
    const omitted = turn.omitted + turn.history.messages - history.messages
    return this.#call({ ...turn, history, omitted }, credentials, input, options)
  }

  async #call(
    turn: StartedTurn,
    credentials: Credentials,
    input: SendInput,
    options: CallOptions,
  ): Promise<Generated> {
    const { warnings, answer } = this.#ask(turn, credentials, input, options)
    const outcome = await answer
    return { turn, outcome, warnings: [...turn.model.warnings, ...warnings] }
  }

  /** Keeps no reference to the request, which is as large as its history. */
  #ask(
    turn: StartedTurn,
    { apiKey, endUserId }: Credentials,
    input: SendInput,
    { signal, onText }: CallOptions,
  ) {
    const request = this.#build(turn, endUserId, input)
    const answer = this.#deps.claude.answer(apiKey, request, {
      signal,
      // A limit has room for one request only.
      repeatsLost: !isLimited(turn.limits),
      inputAtMost: turn.reservation.likelyInputTokens,
      onBegun: () => turn.history.forget(),
      onText,
    })
    return { warnings: request.warnings, answer }
  }

  #build(turn: AskedTurn, endUserId: string, input: SendInput): BuiltRequest {
    return buildRequest({
      model: turn.model.id,
      info: turn.model.info,
      history: toMessages(turn.history.turns),
      message: input.message,
      maxTokens: turn.maxTokens,
      thinking: input.thinking,
      endUserId,
      ...defined({
        system: turn.systemPrompt,
        temperature: input.temperature ?? this.#deps.defaultTemperature,
        stopSequences: input.stopSequences,
        effort: input.effort,
      }),
    })
  }
}

/** Drops undefined fields: an API request distinguishes absent from undefined. */
function defined<T extends object>(fields: T) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

/** For an internal error before anything was sent. */
export function failedAnswer(turn: StartedTurn, thrown: unknown): Generated {
  const outcome: ClaudeOutcome = {
    status: 'failed',
    content: [],
    text: '',
    stopReason: null,
    stopSequence: null,
    refusalCategory: null,
    usage: null,
    usageEstimated: null,
    rate: UNKNOWN_RATE,
    requestId: null,
    model: turn.model.id,
    error: toAppError(thrown),
    warnings: [],
    upstreamMs: 0,
  }
  return { turn, outcome, warnings: [] }
}
