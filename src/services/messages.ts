/** Sending a message: the product. What it promises is in the README under "What is promised". */

import type { ClaudeOutcome } from '../claude/client.ts'
import type { Effort } from '../claude/request.ts'
import { totalInputTokens } from '../claude/usage.ts'
import { AppError, isDatabaseGone, toAppError } from '../errors.ts'
import { violatedConstraint } from '../repositories/constraints.ts'
import type { Repositories } from '../repositories/index.ts'
import type { Telemetry } from '../telemetry.ts'
import type { Generated, Generation } from './generation.ts'
import { type Replays, toMarks } from './idempotency.ts'
import { INTERRUPTED, type RunningAnswers } from './running-answers.ts'
import type { Caller } from './sessions.ts'
import type { SendReceipt } from './turn-end.ts'
import type { IdempotencyMarks, Turns } from './turns.ts'
import type { Vault } from './vault.ts'

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
  repositories: Pick<Repositories, 'apiKeys'>
  turns: Turns
  replays: Replays
  generation: Generation
  vault: Vault
  running: RunningAnswers
  telemetry: Telemetry
}

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
    const { turns, replays, generation, running } = this.#deps
    running.refuseWhenStopping()
    const { userId } = caller
    const { credentials, userVault, wasRejected } = await this.#openKey(userId)
    const marks = toMarks(userVault, input)
    const stored = marks && (await replays.find(userId, marks))
    if (stored) return stored

    const begun = await turns
      .begin(userId, input, marks)
      .catch((error: unknown) => this.#lostRace(userId, marks, error))
    if ('replayed' in begun) return begun
    return running.run(begun.answerId, options.signal, async (signal) => {
      const generated = await generation.run(begun, credentials, input, { ...options, signal })
      const durationMs = performance.now() - startedAt
      const receipt = await this.#finish(generated, { durationMs, stopReason: signal.reason })
      this.#observe(generated.outcome, durationMs)
      await this.#rememberKey(userId, generated.outcome, wasRejected)
      if (!receipt) throw toSendError(generated, signal)
      return { ...receipt, content: deliveredText(generated.outcome), replayed: false }
    })
  }

  async #openKey(userId: string) {
    const row = await this.#deps.repositories.apiKeys.find(userId)
    if (!row) {
      throw new AppError('api_key_missing', 'No Anthropic key is stored for you. Store one first.')
    }
    const userVault = this.#deps.vault.openUser(userId, row.dataKey)
    const credentials = {
      apiKey: userVault.openApiKey(row.sealed),
      endUserId: userVault.endUserId(),
    }
    return { credentials, userVault, wasRejected: row.rejectedAt !== null }
  }

  /** Of two first calls with one key, the one that began second finds the other's turn. */
  async #lostRace(userId: string, marks: IdempotencyMarks | undefined, error: unknown) {
    if (!marks || violatedConstraint(error) !== 'messages_idempotency') throw error
    const stored = await this.#deps.replays.find(userId, marks)
    if (!stored) throw error
    return stored
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

  #observe({ usage, upstreamMs }: ClaudeOutcome, durationMs: number): void {
    this.#deps.telemetry.answer({
      inputTokens: usage === null ? 0 : totalInputTokens(usage),
      outputTokens: usage?.outputTokens ?? 0,
      overheadMs: durationMs - upstreamMs,
    })
  }

  async #rememberKey(userId: string, { status, error }: ClaudeOutcome, wasRejected: boolean) {
    const { apiKeys } = this.#deps.repositories
    if (error?.code === 'upstream_key_rejected') await apiKeys.updateRejected(userId, new Date())
    else if (wasRejected && status === 'complete') await apiKeys.updateRejected(userId, null)
  }
}

const deliveredText = (outcome: ClaudeOutcome) => (outcome.status === 'refused' ? '' : outcome.text)

/** Why there is no answer, with what is needed to find the turn again. */
function toSendError({ turn, outcome }: Generated, signal: AbortSignal): AppError {
  const error =
    signal.reason === INTERRUPTED
      ? new AppError('interrupted', 'The gateway was stopped during this answer. Send again.')
      : (outcome.error ?? toAppError(undefined))
  const { code, message, retryable, retryAfterSeconds, cause } = error
  const details = {
    ...error.details,
    request_id: outcome.requestId,
    conversation_id: turn.conversationId,
    message_id: turn.answerId,
  }
  return new AppError(code, message, { retryable, retryAfterSeconds, cause, details })
}
