/** How a turn begins: one transaction, before Claude is called. */

import type { ContentBlock } from '../claude/content.ts'
import type { PriceTable } from '../claude/prices.ts'
import { estimateTokens } from '../claude/tokens.ts'
import { newId } from '../crypto/random.ts'
import type { Repositories, Transact } from '../repositories/index.ts'
import type { Budgets } from './budgets.ts'
import type { ConversationOpening, OpenedConversation } from './conversation-opening.ts'
import { fitHistory, toTurns } from './history.ts'
import { estimateInput } from './input-estimate.ts'
import type { SendInput } from './messages.ts'
import type { BegunTurn, IdempotencyMarks } from './turn.ts'
import type { ConversationVault } from './vault.ts'

type Deps = {
  transact: Transact
  conversations: ConversationOpening
  prices: PriceTable
  budgets: Budgets
  replicaId: string
  leaseSeconds: number
  defaultMaxTokens: number
  maxMessagesSent: number
}

/** Of the model's window, what estimated tokens may fill: the estimate can be a quarter too low. */
const WINDOW_SHARE = 0.75
const UNKNOWN_MODEL_WINDOW_TOKENS = 200_000

export class TurnBeginning {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Makes the user's message durable, reserves its conversation, and its worst case of the budget.
   *
   * @throws AppError not_found, conversation_busy, model_retired, budget_exceeded,
   *   model_price_unknown; nothing is stored then.
   */
  async begin(
    userId: string,
    input: SendInput,
    marks: IdempotencyMarks | undefined,
  ): Promise<BegunTurn> {
    const answerId = newId()
    return this.#deps.transact(async (repositories) => {
      const opened = await this.#deps.conversations.open(repositories, userId, answerId, input)
      const wantedTokens = input.maxTokens ?? this.#deps.defaultMaxTokens
      const history = await this.#history(repositories, userId, opened, input, wantedTokens)
      const reserved = await this.#reserve(repositories, userId, opened, history, input)
      const { id: conversationId, vault, systemPrompt, model } = opened
      const turn: BegunTurn = {
        conversationId,
        userId,
        answerId,
        vault,
        model: { ...model, warnings: [...model.warnings, ...reserved.warnings] },
        systemPrompt,
        maxTokens: reserved.isLowered ? reserved.maxTokens : wantedTokens,
        ...history,
        tag: input.tag ?? null,
        hasIdempotencyKey: marks !== undefined,
        position: opened.position,
        reservation: reserved.reservation,
      }
      await this.#insertMessages(repositories, turn, input, marks)
      return turn
    })
  }

  async #reserve(
    repositories: Repositories,
    userId: string,
    { model, systemPrompt }: OpenedConversation,
    { turns }: Pick<BegunTurn, 'turns'>,
    input: SendInput,
  ) {
    const now = new Date()
    const { atMost: inputTokens, likely: likelyInputTokens } = estimateInput({
      systemPrompt,
      turns,
      message: input.message,
    })
    const maxTokens = Math.min(
      input.maxTokens ?? this.#deps.defaultMaxTokens,
      model.info?.maxOutputTokens ?? Number.POSITIVE_INFINITY,
    )
    const unitPrices = this.#deps.prices.unitPrices(model.id, inputTokens, now)
    const worst = { inputTokens, likelyInputTokens, maxTokens, unitPrices }
    const reserved = await this.#deps.budgets.reserve(repositories, userId, worst, now)
    return { ...reserved, isLowered: reserved.maxTokens < maxTokens }
  }

  async #history(
    { messages }: Repositories,
    userId: string,
    opened: OpenedConversation,
    input: SendInput,
    maxTokens: number,
  ): Promise<Pick<BegunTurn, 'turns' | 'omitted'>> {
    if (opened.position === 1) return { turns: [], omitted: 0 }
    const rows = await messages.listComplete(opened.id, userId, opened.historyStart)
    const turns = fitHistory(
      toTurns(rows.map((row) => ({ ...row, content: openContent(opened.vault, row) }))),
      {
        maxMessages: this.#deps.maxMessagesSent,
        maxTokens: historyTokens(opened, input.message, maxTokens),
      },
    )
    const earlier =
      opened.historyStart === 1
        ? 0
        : await messages.countCompleteBefore(opened.id, opened.historyStart)
    return { turns, omitted: earlier + rows.length - turns.length * 2 }
  }

  async #insertMessages(
    { messages }: Repositories,
    turn: BegunTurn,
    input: SendInput,
    marks: IdempotencyMarks | undefined,
  ): Promise<void> {
    const userMessageId = newId()
    await messages.insertTurn({
      conversationId: turn.conversationId,
      userId: turn.userId,
      userMessageId,
      answerId: turn.answerId,
      position: turn.position,
      content: turn.vault.sealContent(userMessageId, [{ type: 'text', text: input.message }]),
      tokenCount: estimateTokens(input.message),
      model: turn.model.id,
      idempotencyHash: marks?.hash ?? null,
      requestFingerprint: marks?.fingerprint ?? null,
      replicaId: this.#deps.replicaId,
      leaseSeconds: this.#deps.leaseSeconds,
      tag: turn.tag,
      reservation: turn.reservation,
    })
  }
}

function openContent(
  vault: ConversationVault,
  row: { id: string; content: Buffer | null },
): ContentBlock[] {
  return row.content === null ? [] : vault.openContent(row.id, row.content)
}

function historyTokens(opened: OpenedConversation, message: string, maxTokens: number): number {
  const windowTokens = opened.model.info?.contextTokens ?? UNKNOWN_MODEL_WINDOW_TOKENS
  const fixed = estimateTokens(opened.systemPrompt ?? '') + estimateTokens(message)
  const answerTokens = Math.min(maxTokens, opened.model.info?.maxOutputTokens ?? maxTokens)
  return windowTokens * WINDOW_SHARE - answerTokens - fixed
}
