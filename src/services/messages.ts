/** Sending a message: the product. What it promises is in the README under "What is promised". */

import type { Claude, ClaudeOutcome } from '../claude/client.ts'
import { buildRequest, type Effort } from '../claude/request.ts'
import { AppError, isDatabaseGone, toAppError } from '../errors.ts'
import { violatedConstraint } from '../repositories/constraints.ts'
import type { Repositories } from '../repositories/index.ts'
import { halveHistory, type Turn } from './history.ts'
import { INTERRUPTED, type RunningAnswers } from './running-answers.ts'
import type { Caller } from './sessions.ts'
import type { SendReceipt } from './turn-end.ts'
import type { BegunTurn, IdempotencyMarks, Turns } from './turns.ts'
import { textOf, type UserVault, type Vault } from './vault.ts'

export type SendInput = {
  message: string
  conversationId?: string | undefined
  model?: string | undefined
  maxTokens?: number | undefined
  temperature?: number | undefined
  systemPrompt?: string | undefined
  stopSequences?: string[] | undefined
  thinking: 'off' | 'adaptive'
  effort?: Effort | undefined
  idempotencyKey?: string | undefined
}

export type SendResult = SendReceipt & { content: string; replayed: boolean }

export type SendOptions = {
  signal: AbortSignal
  onText?: ((textSoFar: string) => void) | undefined
}

type Deps = {
  repositories: Pick<Repositories, 'apiKeys' | 'messages'>
  turns: Turns
  claude: Claude
  vault: Vault
  running: RunningAnswers
  defaultTemperature: number | undefined
}

type Generated = { turn: BegunTurn; outcome: ClaudeOutcome; warnings: string[] }

/** How long a finished answer waits for the database to come back. */
const FINISH_RETRY_MS = [250, 500, 1000, 2000, 4000, 8000]

export class MessageService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Adds a message to a conversation, or to a new one, and returns Claude's answer.
   *
   * An abort of `signal` stops Claude; what was written until then is kept as `cancelled`, and
   * what was billed is booked.
   *
   * @throws AppError as README.md lists for send_message; `details` names the conversation and
   *   the message when the turn had begun.
   */
  async send(caller: Caller, input: SendInput, options: SendOptions): Promise<SendResult> {
    const startedAt = performance.now()
    this.#deps.running.refuseWhenStopping()
    const { apiKey, userVault, wasRejected } = await this.#openKey(caller.userId)
    const marks = toMarks(userVault, input)
    const stored = marks && (await this.#replay(caller.userId, marks))
    if (stored) return stored

    const begun = await this.#begin(caller.userId, input, marks)
    if ('replayed' in begun) return begun
    return this.#deps.running.run(begun.answerId, options.signal, async (signal) => {
      const generated = await this.#generate(begun, apiKey, input, { ...options, signal })
      const durationMs = performance.now() - startedAt
      const receipt = await this.#finish(generated, { durationMs, stopReason: signal.reason })
      await this.#rememberKey(caller.userId, generated.outcome, wasRejected)
      if (receipt) return { ...receipt, content: delivered(generated.outcome), replayed: false }
      throw toSendError(generated, signal)
    })
  }

  async #openKey(userId: string) {
    const row = await this.#deps.repositories.apiKeys.find(userId)
    if (!row) {
      throw new AppError('api_key_missing', 'No Anthropic key is stored for you. Store one first.')
    }
    const userVault = this.#deps.vault.openUser(userId, row.dataKey)
    return { apiKey: userVault.openApiKey(row.sealed), userVault, wasRejected: !!row.rejectedAt }
  }

  /** A repeat that lost the race to begin finds the other call's turn instead of its own. */
  async #begin(userId: string, input: SendInput, marks: IdempotencyMarks | undefined) {
    try {
      return await this.#deps.turns.begin(userId, input, marks)
    } catch (error) {
      if (!marks || violatedConstraint(error) !== 'messages_idempotency') throw error
      const stored = await this.#replay(userId, marks)
      if (!stored) throw error
      return stored
    }
  }

  /**
   * What an idempotency key already stands for; undefined when it is new.
   *
   * @throws AppError idempotency_conflict for other arguments, conversation_busy while the first
   *   call runs, and the first call's own code when that failed.
   */
  async #replay(userId: string, marks: IdempotencyMarks): Promise<SendResult | undefined> {
    const first = await this.#deps.repositories.messages.findByIdempotencyHash(userId, marks.hash)
    if (!first) return undefined
    if (!first.requestFingerprint?.equals(marks.fingerprint)) throw idempotencyConflict()
    if (first.status === 'running') throw firstCallRunning()
    if (first.result === null) throw firstCallFailed(first)
    const conversation = { ...first, id: first.conversationId }
    const vault = this.#deps.vault.openConversation(conversation)
    const content = first.content === null ? '' : textOf(vault.openContent(first.id, first.content))
    return { ...(first.result as SendReceipt), content, replayed: true }
  }

  /** Never throws: a turn that has begun must end, whatever happens in here. */
  async #generate(
    turn: BegunTurn,
    apiKey: string,
    input: SendInput,
    options: SendOptions,
  ): Promise<Generated> {
    const first = await this.#call(turn, apiKey, input, options)
    if (first.outcome.error?.code !== 'context_too_long' || turn.turns.length === 0) return first
    const turns = halveHistory(turn.turns)
    const omitted = turn.omitted + (turn.turns.length - turns.length) * 2
    return this.#call({ ...turn, turns, omitted }, apiKey, input, options)
  }

  async #call(
    turn: BegunTurn,
    apiKey: string,
    input: SendInput,
    { signal, onText }: SendOptions,
  ): Promise<Generated> {
    try {
      const request = buildRequest({
        model: turn.model.id,
        info: turn.model.info,
        history: toHistory(turn.turns),
        message: input.message,
        maxTokens: turn.maxTokens,
        thinking: input.thinking,
        endUserId: turn.userId,
        ...defined({
          system: turn.systemPrompt,
          temperature: input.temperature ?? this.#deps.defaultTemperature,
          stopSequences: input.stopSequences,
          effort: input.effort,
        }),
      })
      const outcome = await this.#deps.claude.answer(apiKey, request, {
        signal,
        ...defined({ onText }),
      })
      return { turn, outcome, warnings: [...turn.model.warnings, ...request.warnings] }
    } catch (error) {
      return { turn, outcome: failedOutcome(turn, toAppError(error)), warnings: [] }
    }
  }

  /** The answer is kept while the database is away for a moment, and written when it is back. */
  async #finish(
    { turn, outcome, warnings }: Generated,
    timing: { durationMs: number; stopReason: unknown },
  ): Promise<SendReceipt | null> {
    for (const delayMs of FINISH_RETRY_MS) {
      try {
        return await this.#deps.turns.finish(turn, outcome, timing, warnings)
      } catch (error) {
        if (!isDatabaseGone(error)) throw error
        await new Promise((resolve) => setTimeout(resolve, delayMs))
      }
    }
    return this.#deps.turns.finish(turn, outcome, timing, warnings)
  }

  async #rememberKey(userId: string, { status, error }: ClaudeOutcome, wasRejected: boolean) {
    const { apiKeys } = this.#deps.repositories
    if (error?.code === 'upstream_key_rejected') await apiKeys.updateRejected(userId, new Date())
    else if (wasRejected && status === 'complete') await apiKeys.updateRejected(userId, null)
  }
}

function toMarks(vault: UserVault, input: SendInput): IdempotencyMarks | undefined {
  const { idempotencyKey, ...call } = input
  if (idempotencyKey === undefined) return undefined
  const canonical = JSON.stringify(
    Object.entries(call)
      .filter(([, value]) => value !== undefined)
      .sort(),
  )
  return {
    hash: vault.idempotencyHash(idempotencyKey),
    fingerprint: vault.requestFingerprint(canonical),
  }
}

function toHistory(turns: readonly Turn[]) {
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

const delivered = (outcome: ClaudeOutcome) => (outcome.status === 'refused' ? '' : outcome.text)

function toSendError({ turn, outcome }: Generated, signal: AbortSignal): AppError {
  const error =
    signal.reason === INTERRUPTED
      ? new AppError('interrupted', 'The gateway was stopped during this answer. Send again.')
      : (outcome.error ?? toAppError(undefined))
  const { code, message, retryable, retryAfterSeconds, cause } = error
  const details = {
    ...error.details,
    conversation_id: turn.conversationId,
    message_id: turn.answerId,
  }
  return new AppError(code, message, { retryable, retryAfterSeconds, cause, details })
}

function failedOutcome(turn: BegunTurn, error: AppError): ClaudeOutcome {
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
    error,
    warnings: [],
    upstreamMs: 0,
    firstTokenMs: null,
  }
}

const idempotencyConflict = () =>
  new AppError(
    'idempotency_conflict',
    'This idempotency_key was used with other arguments. Use a new key for a new message.',
    { details: { field: 'idempotency_key' } },
  )

const firstCallRunning = () =>
  new AppError(
    'conversation_busy',
    'The first call with this idempotency_key is still running. Repeat it for the result.',
    { retryAfterSeconds: 2 },
  )

function firstCallFailed(first: { id: string; conversationId: string; status: string }) {
  return new AppError(
    first.status === 'cancelled' ? 'cancelled' : 'interrupted',
    `The first call with this idempotency_key ended as ${first.status} and was billed. Use a new key to send again.`,
    { retryable: false, details: { conversation_id: first.conversationId, message_id: first.id } },
  )
}
