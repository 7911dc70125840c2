/** Sends a message. The guarantees are in the README under "What is promised". */

import type { ClaudeOutcome } from '../../claude/client.ts'
import { estimateTokens } from '../../claude/prices/tokens.ts'
import { totalInputTokens } from '../../claude/prices/usage.ts'
import { settledWithin } from '../../concurrency/timeouts.ts'
import { AppError, toAppError } from '../../errors.ts'
import type { UserCounter } from '../../repositories/access/session-checks.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { TurnContext } from '../../repositories/turns/load-turn-context.ts'
import type { NotBegunEarly } from '../../repositories/turns/start-turns.ts'
import type { Telemetry } from '../../telemetry.ts'
import { accessEnded, sessionEnded } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import type { SessionWatch } from '../access/session-watch.ts'
import type { SessionService } from '../access/sessions.ts'
import type { KeyLinks } from '../api-keys/key-links.ts'
import type { KeyRejections } from '../api-keys/key-rejections.ts'
import type { MeteredCall, MeteredCalls } from '../billing/metered-call.ts'
import type { PaidBy } from '../billing/paid-by.ts'
import { choosePayer, type PayerChoice, requireOnlyTeam } from '../billing/teams/payer-choice.ts'
import { type OpenedPurse, payerGone, type TeamPurses } from '../billing/teams/team-purses.ts'
import type { Branching } from '../conversations/branching.ts'
import type { Vault } from '../keys/vault.ts'
import type { RunningAnswer, RunningAnswers } from './answers/running-answers.ts'
import type { RunningShares } from './answers/running-shares.ts'
import {
  type Credentials,
  failedAnswer,
  type Generated,
  type Generation,
} from './generate-answer.ts'
import { type IdempotencyService, toMarks } from './idempotency.ts'
import type { LastingEnding } from './lasting-ending.ts'
import type { SendResult } from './receipt.ts'
import {
  type EarlySend,
  EarlyTurn,
  type Recalled,
  type RunningEntry,
} from './remembered/early-turn.ts'
import { deliveredText, keptForLater, runningResult, toSendError } from './send-errors.ts'
import type { BegunRememberedTurn, CountInput, NotBegun, TurnBeginning } from './start-turn.ts'
import type { FollowOptions, SendInput, StartedTurn } from './turn.ts'

/** `signal` stops the answer itself while its first caller waits; a timeout does not. */
export type SendOptions = FollowOptions & {
  /** The turn, where it has begun already. */
  early?: EarlyTurn | undefined
}

type Deps = {
  repositories: Pick<Repositories, 'answers' | 'conversations'>
  branching: Pick<Branching, 'branchBefore' | 'discard'>
  beginning: TurnBeginning
  ending: LastingEnding
  meteredCalls: MeteredCalls
  replays: IdempotencyService
  generation: Generation
  vault: Vault
  purses: Pick<TeamPurses, 'open'>
  keyLinks: Pick<KeyLinks, 'keyMissing'>
  keyRejections: Pick<KeyRejections, 'note'>
  running: RunningAnswers
  sessions: Pick<SessionService, 'confirm' | 'noteUse'>
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
    const started = options.early?.claim() ?? (await this.#startNow(caller, input, options))
    if ('replayed' in started) return started
    const { conversationId, isOthers } = started.turn
    const { conversations } = this.#deps.repositories
    const maySee = () => conversations.isReadable(conversationId, caller.userId)
    return this.#deps.watch.during(
      caller,
      options.onText,
      ({ ended, onText }) => this.#wait(started, { ...options, onText, caller, ended }),
      isOthers ? maySee : undefined,
    )
  }

  /**
   * Begins the turn of a message whose sender and conversation are remembered; {@link send} then
   * waits for its answer.
   *
   * @returns the reason as a word when nothing has begun.
   */
  async startRemembered(
    { caller, context, payer }: Recalled,
    input: SendInput,
    counter: Required<UserCounter>,
  ): Promise<EarlySend | NotBegunEarly> {
    const { beginning, running, shares, meteredCalls, sessions } = this.#deps
    const startedAt = performance.now()
    let release = () => {}
    let isAsked = false
    try {
      if (payer.team === null && context.apiKey === null) return 'not_begun'
      running.refuseWhenStopping()
      release = shares.take(caller.userId, charactersOf(input))
      const { purse, paidBy, ...key } = await this.#openPayer(caller, payer, context)
      const prepared = { marks: undefined, paidBy, payer, purse }
      const draft = await beginning.draftRemembered(caller, input, prepared, context)
      let begun: BegunRememberedTurn | undefined
      const reserve = async () => {
        isAsked = true
        const answer = await beginning.beginRemembered(caller, draft, paidBy, context, counter)
        if (typeof answer === 'string') return answer
        begun = answer
        return begun.turn
      }
      const call = this.#metered(key, input, { startedAt, release })
      const turn = await meteredCalls.start<Sent, NotBegunEarly>(reserve, call)
      if (typeof turn !== 'string' && begun) {
        if (begun.isUseToBeNoted) sessions.noteUse(caller.sessionId)
        return { caller, count: begun.count, turn: new EarlyTurn(turn, this.#entryOf(turn)) }
      }
      release()
      return typeof turn === 'string' ? turn : 'not_begun'
    } catch (thrown) {
      release()
      // Before the statement nothing has happened, and the usual way says what is wrong.
      return isAsked ? { caller, refusal: toAppError(thrown) } : 'not_begun'
    }
  }

  async #startNow(caller: Caller, input: SendInput, options: SendOptions) {
    this.#deps.running.refuseWhenStopping()
    const release = this.#deps.shares.take(caller.userId, charactersOf(input))
    const started = await this.#start(caller, input, options, release).catch((error: unknown) => {
      release()
      throw error
    })
    if (!('replayed' in started)) return { turn: started, entry: this.#entryOf(started) }
    release()
    return started
  }

  #entryOf({ answerId }: StartedTurn): RunningEntry {
    const entry = this.#deps.running.find(answerId)
    if (!entry) throw new Error('an answer was waited for that never began')
    return entry
  }

  /** Scoped here so that the history can be collected while the answer streams. */
  async #start(
    caller: Caller,
    input: SendInput,
    options: SendOptions,
    release: () => void,
    tries = 1,
  ): Promise<StartedTurn | SendResult> {
    const startedAt = performance.now()
    const { beginning, replays } = this.#deps
    const opening = await beginning.read(caller, input)
    const userVault = this.#deps.vault.openUser(caller.userId, opening.userDataKey)
    const marks = toMarks(userVault, caller, input)
    const replay = async () => marks && replays.find(caller, marks, options)
    const stored = await replay()
    if (stored) return stored
    const isInCopy = input.editMessageId !== undefined
    const payer = choosePayer(input.payWith, opening.conversation, isInCopy)
    const { purse, paidBy, ...key } = await this.#openPayer(caller, payer, opening)
    const countInput: CountInput = (turn) =>
      this.#deps.generation.countInput(turn, key.credentials, input, options.signal)
    const call = this.#metered(key, input, { startedAt, release })
    const begin = (sent: SendInput, context: TurnContext) =>
      beginning.begin(
        caller,
        sent,
        { marks, paidBy, payer, purse, signal: options.signal },
        context,
        countInput,
      )
    const reserve = () =>
      input.editMessageId === undefined
        ? begin(input, opening)
        : this.#beginInBranch(caller, input, input.editMessageId, begin)
    const begun = await this.#deps.meteredCalls.start<Sent, NotBegun>(reserve, call)
    if (begun === 'payer_gone') {
      if (tries === MAX_PAYER_TRIES) throw payerGone()
      return this.#start(caller, input, options, release, tries + 1)
    }
    if (begun !== 'duplicate_key') return begun
    // Of concurrent calls with one key this is not the first, whose turn is there now. If that
    // ended without being billed, the key is free again.
    return (await replay()) ?? this.#start(caller, input, options, release)
  }

  /** Branches only now that the call is known to be no repeat. */
  async #beginInBranch(
    caller: Caller,
    input: SendInput,
    editMessageId: string,
    begin: (input: SendInput, opening: TurnContext) => Promise<Begun>,
  ): Promise<Begun> {
    const { branching, beginning } = this.#deps
    const { conversationId: originId } = input
    if (originId === undefined) throw editOfNothing()
    const { conversationId } = await branching.branchBefore(caller, originId, editMessageId)
    const sent = { ...input, conversationId }
    const discard = () => branching.discard(caller, conversationId)
    try {
      const begun = await begin(sent, await beginning.read(caller, sent))
      if (typeof begun === 'string') await discard()
      return begun
    } catch (error) {
      await discard()
      throw error
    }
  }

  /** From its reservation on the answer no longer depends on its caller. */
  #metered(key: OpenedKey, input: SendInput, { startedAt, release }: Sending): MeteredCall<Sent> {
    const { running, generation } = this.#deps
    return {
      track: (turn, work) =>
        running.start(turn.answerId, checkpointOf(turn), (answer) => work(answer).finally(release)),
      run: (turn, { controller, report }) =>
        generation.run(turn, key.credentials, input, { signal: controller.signal, onText: report }),
      failed: failedAnswer,
      settle: (_turn, generated, answer) => this.#finish(generated, answer, key, startedAt),
    }
  }

  async #finish(
    generated: Generated,
    answer: RunningAnswer,
    key: OpenedKey,
    startedAt: number,
  ): Promise<SendResult> {
    const { signal } = answer.controller
    const durationMs = performance.now() - startedAt
    const timing = { durationMs, stopReason: signal.reason }
    const end = await this.#deps.ending.finish(generated, timing, answer)
    this.#observe(generated.outcome, durationMs)
    // Only a hint for the account page; the answer is stored either way.
    await this.#rememberKey(generated.turn, generated.outcome, key).catch(() => {})
    if (!end.isAskerLive) throw sessionEnded()
    if (!end.hasAccess) throw accessEnded()
    const { receipt } = end
    if (!receipt) throw toSendError(generated, signal)
    const { sender, paidBy } = generated.turn
    return {
      ...receipt,
      sender,
      paidBy,
      content: deliveredText(generated.outcome),
      replayed: false,
    }
  }

  async #wait(
    { turn, entry }: { turn: StartedTurn; entry: RunningEntry },
    { waitSeconds, signal, onText, caller, ended }: WaitOptions,
  ): Promise<SendResult> {
    const { answer, done } = entry
    const stopText = answer.onText(onText)
    const abort = () => this.#callerLeft(answer, turn, signal.reason)
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
      if (turn.isOthers) await this.#confirmAccess(turn, caller)
      return runningResult(turn, answer.textSoFar)
    } finally {
      stopText()
      signal.removeEventListener('abort', abort)
    }
  }

  async #confirmAccess({ conversationId }: StartedTurn, { userId }: Caller): Promise<void> {
    const { conversations } = this.#deps.repositories
    if (!(await conversations.isReadable(conversationId, userId))) throw accessEnded()
  }

  /**
   * A client of the 2026-07-28 era cancels by closing its stream, which looks like a broken
   * connection. A caller with an idempotency key may be about to repeat the call: it has 10 seconds
   * to rejoin the answer, on any replica, before the answer is stopped.
   */
  #callerLeft(
    answer: RunningAnswer,
    { userId, hasIdempotencyKey }: StartedTurn,
    reason: unknown,
  ): void {
    const isExplicit = reason instanceof AppError && reason.code === 'cancelled'
    const stop = () => void this.#stopUnlessJoined(answer, userId, reason)
    if (isExplicit || !hasIdempotencyKey) answer.controller.abort(reason)
    else setTimeout(stop, REPEAT_WITHIN_MS).unref()
  }

  /** If the check fails, the answer continues: the key still leads to it. */
  async #stopUnlessJoined(
    { id, controller }: RunningAnswer,
    userId: string,
    reason: unknown,
  ): Promise<void> {
    const isWanted = await this.#deps.repositories.answers.isJoined(id, userId).catch(() => true)
    if (!isWanted) controller.abort(reason)
  }

  /** @throws AppError payer_required, team_key_missing, api_key_missing, and others of the purse. */
  async #openPayer(caller: Caller, payer: PayerChoice, context: TurnContext): Promise<OpenedPayer> {
    const purse = await this.#openPurse(caller, payer, context)
    requireOnlyTeam(payer, purse?.teamId)
    return { purse, ...(purse ? keyOf(purse) : await this.#openKey(caller, context)) }
  }

  async #openPurse(
    caller: Caller,
    { team, isNamed, onlyTeam }: PayerChoice,
    { purse }: TurnContext,
  ): Promise<OpenedPurse | undefined> {
    if (team === null) return undefined
    const choices = isNamed || onlyTeam === null ? ['own'] : []
    return this.#deps.purses.open(caller, team, choices, purse)
  }

  async #openKey(caller: Caller, { userDataKey, apiKey }: TurnContext): Promise<PayingKey> {
    const { userId } = caller
    if (apiKey === null) throw await this.#deps.keyLinks.keyMissing(caller)
    const userVault = this.#deps.vault.openUser(userId, userDataKey)
    const credentials = {
      apiKey: userVault.openApiKey(apiKey.sealed),
      endUserId: userVault.endUserId(),
    }
    const paidBy = { kind: 'own' as const, keyLastFour: apiKey.lastFour }
    return { credentials, paidBy, wasRejected: apiKey.rejectedAt !== null }
  }

  #observe({ usage, upstreamMs }: ClaudeOutcome, durationMs: number): void {
    this.#deps.telemetry.answer({
      inputTokens: usage === null ? 0 : totalInputTokens(usage),
      outputTokens: usage?.outputTokens ?? 0,
      overheadMs: durationMs - upstreamMs,
    })
  }

  async #rememberKey(
    { userId, reservation: { team } }: StartedTurn,
    { status, error }: ClaudeOutcome,
    { wasRejected }: OpenedKey,
  ): Promise<void> {
    const { keyRejections } = this.#deps
    const isRejected = error?.code === 'upstream_key_rejected'
    const works = wasRejected && status === 'complete'
    if (isRejected || works) await keyRejections.note({ userId, team }, isRejected)
  }
}

/** Tries while the team that pays changes. */
const MAX_PAYER_TRIES = 3

const keyOf = ({ credentials, wasRejected, teamName, lastFour }: OpenedPurse): PayingKey => ({
  credentials,
  wasRejected,
  paidBy: { kind: 'team', team: teamName, keyLastFour: lastFour },
})

const editOfNothing = () =>
  new AppError('invalid_input', 'edit_message_id needs the conversation_id it belongs to.', {
    details: { fields: ['conversation_id'] },
  })

const charactersOf = ({ message, systemPrompt = '' }: SendInput) =>
  message.length + systemPrompt.length

/** The text so far, sealed, with its estimated tokens. */
const checkpointOf = (turn: StartedTurn) => (text: string) => ({
  content: turn.vault.sealContent(turn.answerId, [{ type: 'text', text }]),
  tokens: Math.min(turn.maxTokens, estimateTokens(text)),
})

/** The types of a message as a metered call. */
type Sent = {
  held: StartedTurn
  handle: RunningAnswer
  outcome: Generated
  settled: SendResult
}

/** `release` gives back the caller's share of running answers. */
type Sending = { startedAt: number; release: () => void }

type WaitOptions = SendOptions & { caller: Caller; ended: AbortSignal }

type Begun = StartedTurn | NotBegun

type OpenedKey = { credentials: Credentials; wasRejected: boolean }
type PayingKey = OpenedKey & { paidBy: PaidBy }
/** `purse`: undefined where the sender pays. */
type OpenedPayer = PayingKey & { purse: OpenedPurse | undefined }
