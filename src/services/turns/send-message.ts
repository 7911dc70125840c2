/** Sends a message. The guarantees are in the README under "What is promised". */

import type { ClaudeOutcome } from '../../claude/client.ts'
import { estimateTokens } from '../../claude/prices/tokens.ts'
import { totalInputTokens } from '../../claude/prices/usage.ts'
import { settledWithin } from '../../concurrency/timeouts.ts'
import { AppError } from '../../errors.ts'
import { violatedConstraint } from '../../repositories/constraints.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { TurnContext } from '../../repositories/turns/load-turn-context.ts'
import type { Telemetry } from '../../telemetry.ts'
import { sessionEnded } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import type { SessionWatch } from '../access/session-watch.ts'
import type { SessionService } from '../access/sessions.ts'
import type { KeyLinks } from '../api-keys/key-links.ts'
import type { Vault } from '../keys/vault.ts'
import type { Credentials, Generation } from './generate-answer.ts'
import { type IdempotencyService, toMarks } from './idempotency.ts'
import type { LastingEnding } from './lasting-ending.ts'
import type { SendResult } from './receipt.ts'
import type { RunningAnswer, RunningAnswers } from './running-answers.ts'
import type { RunningShares } from './running-shares.ts'
import { deliveredText, keptForLater, runningResult, toSendError } from './send-errors.ts'
import type { CountInput, TurnBeginning } from './start-turn.ts'
import type { FollowOptions, IdempotencyMarks, SendInput, StartedTurn } from './turn.ts'

/** `signal` stops the answer itself while its first caller waits; a timeout does not. */
export type SendOptions = FollowOptions

type Deps = {
  repositories: Pick<Repositories, 'answers' | 'apiKeys'>
  beginning: TurnBeginning
  ending: LastingEnding
  replays: IdempotencyService
  generation: Generation
  vault: Vault
  keyLinks: Pick<KeyLinks, 'keyMissing'>
  running: RunningAnswers
  sessions: Pick<SessionService, 'confirm'>
  watch: SessionWatch
  shares: RunningShares
  telemetry: Telemetry
}

/** How long an answer with an idempotency key waits for a repeat after its stream was lost. */
const REPEAT_WITHIN_MS = 10_000

export class MessageService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Adds a message to a conversation, or to a new one, and returns Claude's answer. After
   * `waitSeconds` it returns the text so far, as `running`; get_message then follows the answer.
   *
   * An abort of `signal` stops Claude; the text so far is kept as `cancelled`, and what was billed
   * is booked.
   *
   * @throws AppError unauthenticated when the caller's session has ended, also during the wait: the
   *   answer then continues, and is not returned. Others as README.md lists for send_message;
   *   `details` names the conversation and the message when the turn had begun.
   */
  async send(caller: Caller, input: SendInput, options: SendOptions): Promise<SendResult> {
    const startedAt = performance.now()
    const { running } = this.#deps
    running.refuseWhenStopping()
    const release = this.#deps.shares.take(caller.userId, charactersOf(input))
    const started = await this.#begin(caller, input, options).catch((error: unknown) => {
      release()
      throw error
    })
    if ('replayed' in started) {
      release()
      return started
    }
    const { begun, key } = started
    const saveText = (text: string) => ({
      content: begun.vault.sealContent(begun.answerId, [{ type: 'text', text }]),
      tokens: Math.min(begun.maxTokens, estimateTokens(text)),
    })
    running.start(begun.answerId, saveText, (answer) =>
      this.#generate(begun, key, input, answer, startedAt).finally(release),
    )
    return this.#deps.watch.during(caller, options.onText, ({ ended, onText }) =>
      this.#wait(begun, { ...options, onText, caller, ended }),
    )
  }

  /** Scoped here so that the history can be collected while the answer streams. */
  async #begin(
    caller: Caller,
    input: SendInput,
    options: SendOptions,
  ): Promise<{ begun: StartedTurn; key: OpenedKey } | SendResult> {
    const { beginning, replays } = this.#deps
    const opening = await beginning.read(caller, input)
    const { userVault, ...key } = await this.#openKey(caller, opening)
    const marks = toMarks(userVault, caller, input)
    const stored = marks && (await replays.find(caller, marks, options))
    if (stored) return stored
    const countInput: CountInput = (turn) =>
      this.#deps.generation.countInput(turn, key.credentials, input, options.signal)
    const begun = await beginning
      .begin(caller, input, marks, opening, countInput)
      .catch((error: unknown) => this.#lostRace(caller, marks, options, error))
    return 'replayed' in begun ? begun : { begun, key }
  }

  /** From here on the answer no longer depends on its caller. */
  async #generate(
    turn: StartedTurn,
    { credentials, wasRejected }: OpenedKey,
    input: SendInput,
    answer: RunningAnswer,
    startedAt: number,
  ): Promise<SendResult> {
    const { signal } = answer.controller
    const call = { signal, onText: answer.report }
    const generated = await this.#deps.generation.run(turn, credentials, input, call)
    const durationMs = performance.now() - startedAt
    const timing = { durationMs, stopReason: signal.reason }
    const end = await this.#deps.ending.finish(generated, timing, answer)
    this.#observe(generated.outcome, durationMs)
    // Only a hint for the account page; the answer is stored either way.
    await this.#rememberKey(turn.userId, generated.outcome, wasRejected).catch(() => {})
    if (!end.isAskerLive) throw sessionEnded()
    const { receipt } = end
    if (!receipt) throw toSendError(generated, signal)
    return { ...receipt, content: deliveredText(generated.outcome), replayed: false }
  }

  async #wait(
    turn: StartedTurn,
    { waitSeconds, signal, onText, caller, ended }: WaitOptions,
  ): Promise<SendResult> {
    const { running } = this.#deps
    const entry = running.find(turn.answerId)
    if (!entry) throw new Error('an answer was waited for that never began')
    const { answer, done } = entry
    const stopText = answer.onText(onText)
    const abort = () => this.#callerLeft(answer, turn.hasIdempotencyKey, signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    try {
      const storageFailed = new Promise<'storage_failed'>((resolve) =>
        answer.onStorageFailure(() => resolve('storage_failed')),
      )
      const settled = settledWithin(done, waitSeconds * 1000, ended)
      const end = await Promise.race([settled, storageFailed])
      if (end === 'storage_failed') throw keptForLater(turn)
      // The statement that wrote the end also checked the session.
      if (end === 'settled') return await done
      await this.#deps.sessions.confirm(caller, ['messages:send'])
      return runningResult(turn, answer.textSoFar)
    } finally {
      stopText()
      signal.removeEventListener('abort', abort)
    }
  }

  /**
   * A client of the 2026-07-28 era cancels by closing its stream, which looks like a broken
   * connection. A caller with an idempotency key may be about to repeat the call: it has 10 seconds
   * to rejoin the answer, on any replica, before the answer is stopped.
   */
  #callerLeft(answer: RunningAnswer, hasIdempotencyKey: boolean, reason: unknown): void {
    const isExplicit = reason instanceof AppError && reason.code === 'cancelled'
    const stop = () => void this.#stopUnlessJoined(answer, reason)
    if (isExplicit || !hasIdempotencyKey) answer.controller.abort(reason)
    else setTimeout(stop, REPEAT_WITHIN_MS).unref()
  }

  /** If the check fails, the answer continues: the key still leads to it. */
  async #stopUnlessJoined({ id, controller }: RunningAnswer, reason: unknown): Promise<void> {
    const isWanted = await this.#deps.repositories.answers.isJoined(id).catch(() => true)
    if (!isWanted) controller.abort(reason)
  }

  async #openKey(caller: Caller, { userDataKey, apiKey }: TurnContext) {
    const { userId } = caller
    if (apiKey === null) throw await this.#deps.keyLinks.keyMissing(caller)
    const userVault = this.#deps.vault.openUser(userId, userDataKey)
    const credentials = {
      apiKey: userVault.openApiKey(apiKey.sealed),
      endUserId: userVault.endUserId(),
    }
    return { credentials, userVault, wasRejected: apiKey.rejectedAt !== null }
  }

  /** For concurrent first calls with one key: the second one finds the turn of the first. */
  async #lostRace(
    caller: Caller,
    marks: IdempotencyMarks | undefined,
    options: SendOptions,
    error: unknown,
  ) {
    if (!marks || violatedConstraint(error) !== 'messages_idempotency') throw error
    const stored = await this.#deps.replays.find(caller, marks, options)
    if (!stored) throw error
    return stored
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

const charactersOf = ({ message, systemPrompt = '' }: SendInput) =>
  message.length + systemPrompt.length

type WaitOptions = SendOptions & { caller: Caller; ended: AbortSignal }

type OpenedKey = { credentials: Credentials; wasRejected: boolean }
