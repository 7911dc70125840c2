/** Begins a turn: one statement reads and another writes, before Claude is called. */

import type { PriceTable } from '../../claude/prices/prices.ts'
import { estimateTokens } from '../../claude/prices/tokens.ts'
import { newId } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import type { UserCounter } from '../../repositories/access/session-checks.ts'
import type { LimitSet } from '../../repositories/billing/budgets.ts'
import { periodsAt } from '../../repositories/billing/periods.ts'
import type { Refusal } from '../../repositories/billing/reservation-values.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { TurnContext } from '../../repositories/turns/load-turn-context.ts'
import type {
  BegunRemembered,
  NewTurn,
  NotBegunEarly,
} from '../../repositories/turns/start-turns.ts'
import type { StartOutcome } from '../../repositories/turns/start-turns-statement.ts'
import { reachOf, sessionEnded } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import { readsContext } from '../access/read-ahead.ts'
import type { BudgetAlerts } from '../billing/alerts/budget-alerts.ts'
import { type Budgets, isLimited, loweredWarning, type WorstCase } from '../billing/budgets.ts'
import type { PaidBy } from '../billing/paid-by.ts'
import type { Releases } from '../billing/releases.ts'
import type { LimitRefusals } from '../billing/requests/refusals.ts'
import { type PayerChoice, payerNamedIn } from '../billing/teams/payer-choice.ts'
import { isOfTeam } from '../billing/teams/team-limits.ts'
import type { OpenedPurse } from '../billing/teams/team-purses.ts'
import { conversationBusy, conversationNotFound } from '../conversations/conversation-errors.ts'
import type {
  ConversationOpening,
  OpenedConversation,
} from '../conversations/history/conversation-context.ts'
import type { HistoryReading } from '../conversations/history/history-reading.ts'
import type { SentHistory } from '../conversations/history/history-window.ts'
import { storageFull } from '../conversations/storage.ts'
import type { AskedTurn } from './generate-answer.ts'
import type { SendMemory } from './remembered/send-memory.ts'
import type { IdempotencyMarks, SendInput, StartedTurn } from './turn.ts'
import { isWorthACount, worstCaseOf } from './worst-case.ts'

type Deps = {
  repositories: Pick<Repositories, 'turnContexts' | 'turnBeginnings'>
  conversations: ConversationOpening
  histories: HistoryReading
  prices: PriceTable
  budgets: Budgets
  budgetAlerts: Pick<BudgetAlerts, 'noteStop'>
  refusals: Pick<LimitRefusals, 'of'>
  releases: Releases
  memory: SendMemory
  replicaId: string
  leaseSeconds: number
  defaultMaxTokens: number
  maxMessagesSent: number
  /** Above this, a contributor's first message has to confirm the cost. */
  warnHistoryTokens: number
  /** Per user; null: no limit. */
  maxStoredBytes: number | null
}

type Sender = Pick<Caller, 'userId' | 'username' | 'sessionId' | 'kind' | 'scopes' | 'readAhead'>

/** A requested turn, before the database has accepted it. */
export type Draft = {
  opened: OpenedConversation
  wantedTokens: number
  limits: LimitSet
  history: Pick<StartedTurn, 'history' | 'omitted'>
  worst: WorstCase
  /** Whether to refuse it rather than lower its output: a count may still make room. */
  isWhole: boolean
  newTurn: NewTurn
}

/** What was found before the conversation was: hashes of the call's key, and whose key pays. */
export type Prepared = {
  marks: IdempotencyMarks | undefined
  paidBy: PaidBy
  payer: Pick<PayerChoice, 'conversationPayer' | 'isNamed'>
  /** Of the team that pays; left out: the sender does. */
  purse?: OpenedPurse | undefined
  /** Ends a wait for what other calls hold of the team's budget. */
  signal?: AbortSignal | undefined
}

export type BegunRememberedTurn = Omit<BegunRemembered, 'started'> & { turn: StartedTurn }

/** Why a turn has not begun, where that is no error: the caller looks again. */
export type NotBegun = 'duplicate_key' | 'payer_gone'

/** Anthropic's token count of an input; null: unknown. */
export type CountInput = (turn: AskedTurn) => Promise<number | null>

/** The share of the model's window for estimated tokens: the estimate can be a quarter too low. */
const WINDOW_SHARE = 0.75
const UNKNOWN_MODEL_WINDOW_TOKENS = 200_000
/** Tries while other turns come in between; then the conversation counts as busy. */
const MAX_TRIES = 3
/** How long a call waits for what others hold of a team's budget; another process may release it. */
const HELD_WAIT_MS = 10_000
const HELD_POLL_MS = 500

export class TurnBeginning {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Reads the input of {@link begin}. @throws AppError not_found when the account was deleted. */
  async read(sender: Sender, { conversationId, payWith }: SendInput): Promise<TurnContext> {
    const { turnContexts } = this.#deps.repositories
    const { memory } = this.#deps
    const payer = payerNamedIn(payWith)
    const ahead = sender.readAhead?.take(readsContext(conversationId, payer))
    const context = ahead ?? (await turnContexts.find(reachOf(sender), conversationId, payer))
    if (context === undefined) throw new AppError('not_found', 'This account has been deleted.')
    if (ahead && sender.readAhead) memory.noteSender(sender.readAhead.foundWith, context)
    memory.noteConversation(context)
    return context
  }

  /**
   * The same as {@link begin} for a turn of which nothing was read: drafts it from what is
   * remembered.
   *
   * @throws AppError where {@link begin} would, and where more has to be read.
   */
  async draftRemembered(
    caller: Caller,
    input: SendInput,
    prepared: Prepared,
    context: TurnContext,
  ): Promise<Draft> {
    return this.#draft(caller, input, prepared, context, new Date(), undefined)
  }

  /** @returns a word when it has not begun: then something has changed, or is not allowed. */
  async beginRemembered(
    { username: sender }: Caller,
    draft: Draft,
    paidBy: PaidBy,
    { versions, conversation, purse }: TurnContext,
    counter: Required<UserCounter>,
  ): Promise<BegunRememberedTurn | NotBegunEarly> {
    const { turnBeginnings } = this.#deps.repositories
    const purseVersion = purse?.version ?? null
    const turn = { versions, purseVersion, counter, ...draft.newTurn }
    const begun = await turnBeginnings.beginRemembered(turn)
    if (typeof begun === 'string') return begun
    const { started, ...counted } = begun
    this.#deps.memory.noteBegun(draft.newTurn, conversation, started)
    return { turn: { sender, paidBy, ...toBegunTurn(draft, started) }, ...counted }
  }

  /**
   * Makes the user's message durable, and reserves its conversation and the worst case of its cost.
   * Only if that does not fit, asks Anthropic for a count of the input, which is free and lower.
   *
   * @returns 'duplicate_key' when another turn with the idempotency key has begun meanwhile;
   *   'payer_gone' when the team that was to pay, or who pays in the conversation, has changed, so
   *   that the payer has to be chosen again.
   * @throws AppError unauthenticated, not_found, forbidden, confirmation_required,
   *   conversation_busy, model_retired, budget_exceeded,
   *   model_price_unknown, storage_full, rate_limited, overloaded; nothing is stored then.
   */
  async begin(
    sender: Sender,
    input: SendInput,
    prepared: Prepared,
    opening: TurnContext,
    countInput: CountInput,
  ): Promise<StartedTurn | NotBegun> {
    const waitUntil = performance.now() + HELD_WAIT_MS
    let current = opening
    let counted: number | null | undefined
    for (let tries = 1; tries <= MAX_TRIES; ) {
      const now = new Date()
      const draft = await this.#draft(sender, input, prepared, current, now, counted)
      const verdict = await this.#deps.repositories.turnBeginnings.begin(draft.newTurn)
      if (verdict.outcome === 'begun') {
        const { paidBy } = prepared
        this.#deps.memory.noteBegun(draft.newTurn, current.conversation, verdict)
        return { sender: sender.username, paidBy, ...toBegunTurn(draft, verdict) }
      }
      if (verdict.outcome === 'duplicate_key' || verdict.outcome === 'payer_gone') {
        return verdict.outcome
      }
      if (verdict.outcome === 'spent' || verdict.outcome === 'held') {
        if (draft.isWhole) counted = await countInput(toAsked(draft))
        else if (!(await this.#isReleased(verdict, prepared, waitUntil))) {
          await this.#noteStop(verdict, sender, prepared, draft.limits, now)
          const { limits } = current
          const { worst } = draft.newTurn
          const refused = { sender, limits, purse: prepared.purse, worst }
          throw await this.#deps.refusals.of(verdict, refused, now)
        }
        continue
      }
      if (verdict.outcome === 'session_ended') throw await this.#ended(sender, input)
      if (verdict.outcome === 'full') throw storageFull(this.#deps.maxStoredBytes)
      if (verdict.outcome === 'not_found') throw conversationNotFound()
      if (verdict.outcome === 'busy') throw conversationBusy()
      current = await this.read(sender, input)
      counted = undefined
      tries += 1
    }
    throw conversationBusy()
  }

  /** Waits for other calls of the team. @returns false when there is nothing to wait for. */
  async #isReleased(
    { outcome, limited }: Refusal,
    { purse, signal = NEVER }: Prepared,
    until: number,
  ): Promise<boolean> {
    const leftMs = until - performance.now()
    if (outcome !== 'held' || !purse || !isOfTeam(limited) || leftMs <= 0 || signal.aborted) {
      return false
    }
    await this.#deps.releases.wait(purse.teamId, Math.min(leftMs, HELD_POLL_MS), signal)
    return true
  }

  async #noteStop(
    { outcome, limited }: Refusal,
    { userId, sessionId }: Sender,
    { purse }: Prepared,
    limits: LimitSet,
    at: Date,
  ): Promise<void> {
    if (outcome !== 'spent') return
    const stopped = { userId, sessionId, teamId: purse?.teamId, limited, limits, at }
    await this.#deps.budgetAlerts.noteStop(stopped)
  }

  /** Throws not_found instead if the session ended because its account was deleted. */
  async #ended(sender: Sender, input: SendInput): Promise<AppError> {
    await this.read(sender, input)
    return sessionEnded([sender.kind])
  }

  /** The first message in another user's conversation pays for all that was said before. */
  #confirmCost({ isFirstSend }: OpenedConversation, input: SendInput, history: SentHistory) {
    const { warnHistoryTokens } = this.#deps
    if (!isFirstSend || input.confirmCost || history.tokens <= warnHistoryTokens) return
    throw new AppError(
      'confirmation_required',
      `This conversation is not yours, and its history has about ${history.tokens} tokens, for which you would pay. Send again with confirm_cost: true to accept that, or ask the owner for a shorter one.`,
      {
        onPages: `You would pay for all that was said before, about ${history.tokens} tokens. Tick the box to send it anyway.`,
        details: { field: 'confirm_cost', history_tokens: history.tokens },
      },
    )
  }

  async #draft(
    sender: Sender,
    input: SendInput,
    { marks, paidBy, payer, purse }: Prepared,
    opening: TurnContext,
    now: Date,
    counted: number | null | undefined,
  ): Promise<Draft> {
    const { budgets, conversations, replicaId, leaseSeconds } = this.#deps
    const opened = conversations.open(sender.userId, input, opening.conversation)
    const wantedTokens = input.maxTokens ?? this.#deps.defaultMaxTokens
    const limits = budgets.limitsOf(opening, purse?.limits)
    const history = await this.#deps.histories.read(sender.userId, opened, {
      maxMessages: this.#deps.maxMessagesSent,
      maxTokens: historyTokens(opened, input.message, wantedTokens),
    })
    this.#confirmCost(opened, input, history.history)
    const asked = {
      model: opened.model,
      systemPrompt: opened.systemPrompt,
      turns: history.history.turns,
      message: input.message,
      wantedTokens,
      counted,
      at: now,
    }
    const worst = worstCaseOf(asked, this.#deps.prices)
    const isWhole = isLimited(limits) && isWorthACount(asked, worst)
    const userMessageId = newId()
    const content = opened.vault.sealContent(userMessageId, [{ type: 'text', text: input.message }])
    const newTurn: NewTurn = {
      isCapped: opening.connection !== null,
      conversationId: opened.id,
      messageCount: opened.messageCount,
      userMessageId,
      answerId: newId(),
      content,
      tokenCount: estimateTokens(input.message),
      model: opened.model.id,
      idempotencyHash: marks?.hash ?? null,
      requestFingerprint: marks?.fingerprint ?? null,
      replicaId,
      leaseSeconds,
      tag: input.tag ?? null,
      keyLastFour: paidBy.keyLastFour,
      isPayerNamed: payer.isNamed,
      conversationPayer: payer.conversationPayer,
      periods: periodsAt(now),
      limits,
      worst: budgets.costOf(worst, limits, isWhole),
      storage: { newBytes: newBytes(opened, content), limitBytes: this.#deps.maxStoredBytes },
      // Last, as in reservation-values.ts.
      ...reachOf(sender),
      ...opened.changes,
      ...(purse && { team: { teamId: purse.teamId, keyId: purse.keyId } }),
    }
    return { opened, wantedTokens, limits, history, worst, isWhole, newTurn }
  }
}

const NEVER = new AbortController().signal

/** The system prompt is stored with the answer, but its size is already known. */
function newBytes({ changes, newSystemPrompt }: OpenedConversation, content: Buffer): number {
  const prompt = newSystemPrompt ? Buffer.byteLength(newSystemPrompt) : 0
  return content.length + (changes.title?.length ?? 0) + prompt
}

const toAsked = ({ opened, wantedTokens, history }: Draft): AskedTurn => ({
  model: opened.model,
  systemPrompt: opened.systemPrompt,
  maxTokens: wantedTokens,
  history: history.history,
})

function historyTokens(opened: OpenedConversation, message: string, maxTokens: number): number {
  const windowTokens = opened.model.info?.contextTokens ?? UNKNOWN_MODEL_WINDOW_TOKENS
  const fixed = estimateTokens(opened.systemPrompt ?? '') + estimateTokens(message)
  const answerTokens = Math.min(maxTokens, opened.model.info?.maxOutputTokens ?? maxTokens)
  return windowTokens * WINDOW_SHARE - answerTokens - fixed
}

function toBegunTurn(
  { opened, wantedTokens, limits, history, worst, newTurn }: Draft,
  { maxTokens, nanoUsd, tokens }: Extract<StartOutcome, { outcome: 'begun' }>,
): Omit<StartedTurn, 'sender' | 'paidBy'> {
  const { userId, sessionId, isCapped, answerId, idempotencyHash, tag, periods, team } = newTurn
  const isLowered = maxTokens < worst.maxTokens
  const warnings = isLowered ? [loweredWarning(worst.maxTokens, maxTokens, limits)] : []
  return {
    conversationId: opened.id,
    userId,
    isOthers: opened.role !== 'owner',
    answerId,
    vault: opened.vault,
    model: { ...opened.model, warnings: [...opened.model.warnings, ...warnings] },
    systemPrompt: opened.systemPrompt,
    newSystemPrompt: opened.newSystemPrompt,
    // The request lowers what exceeds the model's own limit, and warns about it.
    maxTokens: isLowered ? maxTokens : wantedTokens,
    tag,
    hasIdempotencyKey: idempotencyHash !== null,
    position: opened.messageCount + 1,
    historyStart: opened.historyStart,
    limits,
    reservation: {
      nanoUsd,
      tokens,
      likelyInputTokens: worst.inputTokens,
      maxTokens,
      sessionId,
      isConnection: isCapped,
      ...periods,
      ...(team && { team }),
    },
    ...history,
  }
}
