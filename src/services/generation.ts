/** Asking Claude for the answer to a turn that has begun. Knows nothing of how either is stored. */

import type { Claude, ClaudeOutcome } from '../claude/client.ts'
import { buildRequest } from '../claude/request.ts'
import { toAppError } from '../errors.ts'
import { halveHistory, SentHistory, type Turn } from './history.ts'
import type { SendInput } from './messages.ts'
import type { BegunTurn } from './turn.ts'

/** With whose key, and as whom Anthropic may tell users apart. */
export type Credentials = { apiKey: string; endUserId: string }

/** `turn` is the one that was sent in the end: it may hold fewer earlier turns than it began with. */
export type Generated = { turn: BegunTurn; outcome: ClaudeOutcome; warnings: string[] }

type CallOptions = { signal: AbortSignal; onText: (textSoFar: string) => void }
type Deps = { claude: Claude; defaultTemperature: number | undefined }

export class Generation {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Never throws: a turn that has begun must end, whatever happens in here. A history that
   * Anthropic finds too long is halved once; one that it accepts is forgotten.
   */
  async run(
    turn: BegunTurn,
    credentials: Credentials,
    input: SendInput,
    options: CallOptions,
  ): Promise<Generated> {
    const first = await this.#call(turn, credentials, input, options)
    if (first.outcome.error?.code !== 'context_too_long' || turn.history.turns.length === 0)
      return first
    const history = new SentHistory(halveHistory(turn.history.turns))
    const omitted = turn.omitted + turn.history.messages - history.messages
    return this.#call({ ...turn, history, omitted }, credentials, input, options)
  }

  async #call(
    turn: BegunTurn,
    credentials: Credentials,
    input: SendInput,
    options: CallOptions,
  ): Promise<Generated> {
    try {
      const { warnings, answer } = this.#ask(turn, credentials, input, options)
      const outcome = withLikelyInput(await answer, turn)
      return { turn, outcome, warnings: [...turn.model.warnings, ...warnings] }
    } catch (error) {
      return { turn, outcome: failedOutcome(turn, error), warnings: [] }
    }
  }

  /** Keeps nothing of the request, which is as large as the history in it. */
  #ask(
    turn: BegunTurn,
    { apiKey, endUserId }: Credentials,
    input: SendInput,
    { signal, onText }: CallOptions,
  ) {
    const request = buildRequest({
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
    const onBegun = () => turn.history.forget()
    const answer = this.#deps.claude.answer(apiKey, request, { signal, onBegun, onText })
    return { warnings: request.warnings, answer }
  }
}

function toMessages(turns: readonly Turn[]) {
  return turns.flatMap(({ user, assistant }) => [
    { role: 'user' as const, content: user },
    { role: 'assistant' as const, content: assistant },
  ])
}

/** Without the fields that are undefined: absent and undefined differ in an API request. */
function defined<T extends object>(fields: T) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

/** A call that may be billed without anybody having said how much is booked with its input. */
function withLikelyInput(outcome: ClaudeOutcome, { reservation }: BegunTurn): ClaudeOutcome {
  if (outcome.usage !== null || outcome.usageEstimated === null) return outcome
  const usage = {
    inputTokens: reservation.likelyInputTokens,
    cacheWrite5mTokens: 0,
    cacheWrite1hTokens: 0,
    cacheReadTokens: 0,
    outputTokens: 0,
    thinkingTokens: 0,
  }
  return { ...outcome, usage }
}

/** For a fault of the gateway's own, before anything was sent. */
function failedOutcome(turn: BegunTurn, thrown: unknown): ClaudeOutcome {
  return {
    status: 'failed',
    content: [],
    text: '',
    stopReason: null,
    stopSequence: null,
    refusalCategory: null,
    usage: null,
    usageEstimated: null,
    requestId: null,
    model: turn.model.id,
    error: toAppError(thrown),
    warnings: [],
    upstreamMs: 0,
    firstTokenMs: null,
  }
}
