/** Begins a turn: one statement reads and another writes, before Claude is called. */

import type { PriceTable } from '../../claude/prices/prices.ts'
import { estimateTokens } from '../../claude/prices/tokens.ts'
import { newId } from '../../crypto/random.ts'
import type { AppError } from '../../errors.ts'
import type { LimitSet } from '../../repositories/billing/budgets.ts'
import { periodsAt } from '../../repositories/billing/periods.ts'
import {
  conversationBusy,
  conversationNotFound,
} from '../../repositories/conversations/conversations.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { TurnContext } from '../../repositories/turns/load-turn-context.ts'
import type { NewTurn } from '../../repositories/turns/start-turns.ts'
import type { StartOutcome } from '../../repositories/turns/start-turns-statement.ts'
import { reachOf, sessionEnded } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import {
  type Budgets,
  budgetExceeded,
  isLimited,
  loweredWarning,
  type WorstCase,
} from '../billing/budgets.ts'
import type {
  ConversationOpening,
  OpenedConversation,
} from '../conversations/conversation-context.ts'
import type { HistoryReading } from '../conversations/history-reading.ts'
import { storageFull } from '../conversations/storage.ts'
import type { AskedTurn } from './generate-answer.ts'
import type { IdempotencyMarks, SendInput, StartedTurn } from './turn.ts'
import { isWorthACount, worstCaseOf } from './worst-case.ts'

type Deps = {
  repositories: Pick<Repositories, 'turnContexts' | 'turnBeginnings'>
  conversations: ConversationOpening
  histories: HistoryReading
  prices: PriceTable
  budgets: Budgets
  replicaId: string
  leaseSeconds: number
  defaultMaxTokens: number
  maxMessagesSent: number
  /** Per user; null: no limit. */
  maxStoredBytes: number | null
}

type Sender = Pick<Caller, 'userId' | 'sessionId' | 'kind' | 'scopes'>

/** A requested turn, before the database has accepted it. */
type Draft = {
  opened: OpenedConversation
  wantedTokens: number
  limits: LimitSet
  history: Pick<StartedTurn, 'history' | 'omitted'>
  worst: WorstCase
  /** Whether to refuse it rather than lower its output: a count may still make room. */
  isWhole: boolean
  newTurn: NewTurn
}

/** Anthropic's token count of an input; null: unknown. */
export type CountInput = (turn: AskedTurn) => Promise<number | null>

/** The share of the model's window for estimated tokens: the estimate can be a quarter too low. */
const WINDOW_SHARE = 0.75
const UNKNOWN_MODEL_WINDOW_TOKENS = 200_000
/** Tries while other turns come in between; then the conversation counts as busy. */
const MAX_TRIES = 3

export class TurnBeginning {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Reads the input of {@link begin}. @throws AppError not_found when the account was deleted. */
  async read(sender: Sender, { conversationId }: SendInput): Promise<TurnContext> {
    return this.#deps.repositories.turnContexts.get(reachOf(sender), conversationId)
  }

  /**
   * Makes the user's message durable, and reserves its conversation and the worst case of its cost.
   * Only if that does not fit, asks Anthropic for a count of the input, which is free and lower.
   *
   * @throws AppError unauthenticated, not_found, conversation_busy, model_retired, budget_exceeded,
   *   model_price_unknown, storage_full, rate_limited, overloaded; nothing is stored then.
   */
  async begin(
    sender: Sender,
    input: SendInput,
    marks: IdempotencyMarks | undefined,
    opening: TurnContext,
    countInput: CountInput,
  ): Promise<StartedTurn> {
    let current = opening
    let counted: number | null | undefined
    for (let tries = 1; tries <= MAX_TRIES; ) {
      const now = new Date()
      const draft = await this.#draft(sender, input, marks, current, now, counted)
      const verdict = await this.#deps.repositories.turnBeginnings.begin(draft.newTurn)
      if (verdict.outcome === 'begun') return toBegunTurn(draft, verdict)
      if (verdict.outcome === 'exceeded') {
        if (!draft.isWhole) throw budgetExceeded(verdict.limited, now)
        counted = await countInput(toAsked(draft))
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

  /** Throws not_found instead if the session ended because its account was deleted. */
  async #ended(sender: Sender, input: SendInput): Promise<AppError> {
    await this.read(sender, input)
    return sessionEnded([sender.kind])
  }

  async #draft(
    sender: Sender,
    input: SendInput,
    marks: IdempotencyMarks | undefined,
    opening: TurnContext,
    now: Date,
    counted: number | null | undefined,
  ): Promise<Draft> {
    const { budgets, conversations, replicaId, leaseSeconds } = this.#deps
    const opened = conversations.open(sender.userId, input, opening.conversation)
    const wantedTokens = input.maxTokens ?? this.#deps.defaultMaxTokens
    const limits = budgets.limitsOf(opening)
    const history = await this.#deps.histories.read(sender.userId, opened, {
      maxMessages: this.#deps.maxMessagesSent,
      maxTokens: historyTokens(opened, input.message, wantedTokens),
    })
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
      ...reachOf(sender),
      isConnection: opening.connection !== null,
      conversationId: opened.id,
      ...opened.changes,
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
      periods: periodsAt(now),
      limits,
      worst: budgets.costOf(worst, limits, isWhole),
      storage: { newBytes: newBytes(opened, content), limitBytes: this.#deps.maxStoredBytes },
    }
    return { opened, wantedTokens, limits, history, worst, isWhole, newTurn }
  }
}

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
): StartedTurn {
  const { userId, sessionId, isConnection, answerId, idempotencyHash, tag, periods } = newTurn
  const isLowered = maxTokens < worst.maxTokens
  const warnings = isLowered ? [loweredWarning(worst.maxTokens, maxTokens, limits)] : []
  return {
    conversationId: opened.id,
    userId,
    answerId,
    vault: opened.vault,
    model: { ...opened.model, warnings: [...opened.model.warnings, ...warnings] },
    systemPrompt: opened.systemPrompt,
    newSystemPrompt: opened.newSystemPrompt,
    // The request lowers what exceeds the model's own limit, and warns about it.
    maxTokens: isLowered ? maxTokens : wantedTokens,
    ...history,
    tag,
    hasIdempotencyKey: idempotencyHash !== null,
    position: opened.messageCount + 1,
    historyStart: opened.historyStart,
    limits,
    reservation: {
      ...periods,
      nanoUsd,
      tokens,
      likelyInputTokens: worst.inputTokens,
      maxTokens,
      sessionId,
      isConnection,
    },
  }
}
