/** Asking Claude for the answer to a turn that has begun. Knows nothing of how either is stored. */

import type { Claude, ClaudeOutcome } from '../../claude/client.ts'
import { UNKNOWN_RATE } from '../../claude/prices/usage.ts'
import { type BuiltRequest, buildRequest } from '../../claude/request.ts'
import { toAppError } from '../../errors.ts'
import { isLimited } from '../billing/budgets.ts'
import { halveHistory, SentHistory, toMessages } from '../conversations/history-window.ts'
import type { SendInput, StartedTurn } from './turn.ts'

/** With whose key, and as whom Anthropic may tell users apart. */
export type Credentials = { apiKey: string; endUserId: string }

/** `turn` is the one that was sent in the end: it may hold fewer earlier turns than it began with. */
export type Generated = { turn: StartedTurn; outcome: ClaudeOutcome; warnings: string[] }

/** All that a request is made of besides what its caller said. */
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

  /** Anthropic's count of a turn's input, free of charge; null when it cannot be had. Never throws. */
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
   * Never throws: a turn that has begun must end, whatever happens in here. A history that
   * Anthropic finds too long is halved once; one that it accepts is forgotten.
   */
  async run(
    turn: StartedTurn,
    credentials: Credentials,
    input: SendInput,
    options: CallOptions,
  ): Promise<Generated> {
    const first = await this.#call(turn, credentials, input, options)
    const { error, usage } = first.outcome
    // With a usage, a request before the one that was refused may have been billed.
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
    try {
      const { warnings, answer } = this.#ask(turn, credentials, input, options)
      const outcome = await answer
      return { turn, outcome, warnings: [...turn.model.warnings, ...warnings] }
    } catch (error) {
      return { turn, outcome: failedOutcome(turn, error), warnings: [] }
    }
  }

  /** Keeps nothing of the request, which is as large as the history in it. */
  #ask(
    turn: StartedTurn,
    { apiKey, endUserId }: Credentials,
    input: SendInput,
    { signal, onText }: CallOptions,
  ) {
    const request = this.#build(turn, endUserId, input)
    const answer = this.#deps.claude.answer(apiKey, request, {
      signal,
      // A limit has room for one.
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

/** Without the fields that are undefined: absent and undefined differ in an API request. */
function defined<T extends object>(fields: T) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

/** For a fault of the gateway's own, before anything was sent. */
function failedOutcome(turn: StartedTurn, thrown: unknown): ClaudeOutcome {
  return {
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
    firstTokenMs: null,
  }
}
