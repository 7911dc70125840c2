/**
 * A turn's beginning and its end, each one transaction. Between the two Claude is called; no
 * connection is held meanwhile.
 */

import type { ClaudeOutcome } from '../claude/client.ts'
import type { ContentBlock } from '../claude/content.ts'
import { type ModelInfo, resolveModel } from '../claude/models.ts'
import type { PriceTable } from '../claude/prices.ts'
import { estimateTokens } from '../claude/tokens.ts'
import { newId } from '../crypto/random.ts'
import { AppError } from '../errors.ts'
import type { Repositories, Transact } from '../repositories/index.ts'
import { fitHistory, type Turn, toTurns } from './history.ts'
import type { SendInput } from './messages.ts'
import { toTitle } from './title.ts'
import { type SendReceipt, toLedgerRow, toReceipt, toStored, toTurnEnd } from './turn-end.ts'
import type { ConversationVault, Vault } from './vault.ts'

export type ResolvedModel = { id: string; info: ModelInfo | undefined; warnings: string[] }

/** What may be stored of an idempotency key, and what is not stored but needed for a replay. */
export type IdempotencyMarks = {
  hash: Buffer
  fingerprint: Buffer
  stopSequences: readonly string[]
}

/** A turn that is durable, and whose conversation is reserved for it. */
export type BegunTurn = {
  conversationId: string
  userId: string
  answerId: string
  vault: ConversationVault
  model: ResolvedModel
  systemPrompt: string | undefined
  maxTokens: number
  stopSequences: readonly string[]
  /** Of the user's message. */
  position: number
  /** Earlier turns that go to Claude. */
  turns: Turn[]
  /** Earlier whole messages that do not. */
  omitted: number
}

type Deps = {
  transact: Transact
  vault: Vault
  prices: PriceTable
  replicaId: string
  leaseSeconds: number
  defaultModel: string
  defaultMaxTokens: number
  retiredModels: 'refuse' | 'map'
  maxMessagesSent: number
}

/** The conversation as the turn finds it: new, or taken from the database under its row's lock. */
type Opened = {
  id: string
  vault: ConversationVault
  model: ResolvedModel
  systemPrompt: string | undefined
  position: number
  historyStart: number
}

/** Of the model's window, what estimated tokens may fill: the estimate can be a quarter too low. */
const WINDOW_SHARE = 0.75
const UNKNOWN_MODEL_WINDOW_TOKENS = 200_000

export class Turns {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Makes the user's message durable and reserves its conversation.
   *
   * @throws AppError not_found, conversation_busy, model_retired; nothing is stored then.
   */
  async begin(
    userId: string,
    input: SendInput,
    marks: IdempotencyMarks | undefined,
  ): Promise<BegunTurn> {
    const answerId = newId()
    return this.#deps.transact(async (repositories) => {
      const opened =
        input.conversationId === undefined
          ? await this.#create(repositories, userId, answerId, input)
          : await this.#continue(repositories, userId, answerId, input, input.conversationId)
      const maxTokens = input.maxTokens ?? this.#deps.defaultMaxTokens
      const history = await this.#history(repositories, userId, opened, input, maxTokens)
      await this.#insertMessages(repositories, userId, answerId, opened, input, marks)
      const { id: conversationId, vault, model, systemPrompt, position } = opened
      const stopSequences = input.stopSequences ?? []
      const turn = { conversationId, userId, answerId, vault, model, systemPrompt, maxTokens }
      return { ...turn, ...history, stopSequences, position }
    })
  }

  /**
   * Writes how the turn ended: answer, ledger and conversation together. May be tried again.
   *
   * @returns the receipt of a delivered answer, null for any other end.
   * @throws AppError interrupted when the turn was closed in the meantime; what was billed is
   *   booked then too.
   */
  async finish(
    turn: BegunTurn,
    outcome: ClaudeOutcome,
    timing: { durationMs: number; stopReason: unknown },
    warnings: readonly string[],
  ): Promise<SendReceipt | null> {
    const ledgerRow = toLedgerRow(turn, outcome, this.#deps.prices, new Date())
    const delivered = outcome.status === 'complete' || outcome.status === 'refused'
    const history = { sent: turn.turns.length * 2, omitted: turn.omitted }
    const receipt = delivered
      ? toReceipt(turn, outcome, ledgerRow?.costNanoUsd, history, warnings)
      : null
    const content = sealAnswer(turn, outcome)
    const result = receipt && toStored(receipt, turn.stopSequences)
    const end = toTurnEnd(outcome, content, result, timing.durationMs, timing.stopReason)
    const isEnded = await this.#deps.transact(async ({ messages, ledger, conversations }) => {
      const isFirst = await messages.finishTurn(turn.answerId, end)
      // Also when somebody else has closed the turn: it was billed all the same.
      if (ledgerRow) await ledger.insert(ledgerRow)
      // An earlier try whose commit was done although the connection broke before it said so.
      if (!isFirst) return (await messages.findStatus(turn.answerId)) === end.status
      // A failed turn cuts nothing: its own message may have been what was too long.
      const isCut = receipt !== null && turn.omitted > 0
      await conversations.release(turn.conversationId, turn.answerId, {
        model: turn.model.id,
        ...(isCut ? { historyStart: turn.turns[0]?.position ?? turn.position } : {}),
      })
      return true
    })
    if (!isEnded) throw closedMeanwhile()
    return receipt
  }

  async #create(
    { conversations }: Repositories,
    userId: string,
    answerId: string,
    input: SendInput,
  ): Promise<Opened> {
    const id = newId()
    const model = this.#resolve(input.model ?? this.#deps.defaultModel)
    const { wrapped: dataKey, vault } = this.#deps.vault.createConversationKey(id, userId)
    const systemPrompt = input.systemPrompt || undefined
    await conversations.insert({
      id,
      userId,
      dataKey,
      title: vault.sealTitle(toTitle(input.message)),
      systemPrompt: systemPrompt === undefined ? null : vault.sealSystemPrompt(systemPrompt),
      model: model.id,
      runningMessageId: answerId,
    })
    return { id, vault, model, systemPrompt, position: 1, historyStart: 1 }
  }

  async #continue(
    { conversations }: Repositories,
    userId: string,
    answerId: string,
    input: SendInput,
    conversationId: string,
  ): Promise<Opened> {
    const taken = await conversations.take(conversationId, userId, answerId)
    const vault = this.#deps.vault.openConversation(taken)
    const model =
      input.model === undefined ? this.#resolveKept(taken.model) : this.#resolve(input.model)
    const kept = taken.systemPrompt === null ? '' : vault.openSystemPrompt(taken.systemPrompt)
    const systemPrompt = (input.systemPrompt ?? kept) || undefined
    if (input.systemPrompt !== undefined && input.systemPrompt !== kept) {
      const sealed = systemPrompt === undefined ? null : vault.sealSystemPrompt(systemPrompt)
      await conversations.updateSystemPrompt(conversationId, userId, sealed)
    }
    const { id, messageCount, historyStart } = taken
    return { id, vault, model, systemPrompt, position: messageCount + 1, historyStart }
  }

  #resolve(model: string): ResolvedModel {
    return resolveModel(model, this.#deps.retiredModels)
  }

  /** A conversation may outlive its model: then it goes on with the default, and says so. */
  #resolveKept(model: string): ResolvedModel {
    try {
      return this.#resolve(model)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'model_retired') throw error
      const fallback = this.#resolve(this.#deps.defaultModel)
      const warning = `${model}, this conversation's model, was retired; ${fallback.id} answered.`
      return { ...fallback, warnings: [warning, ...fallback.warnings] }
    }
  }

  async #history(
    { messages }: Repositories,
    userId: string,
    opened: Opened,
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
    userId: string,
    answerId: string,
    opened: Opened,
    input: SendInput,
    marks: IdempotencyMarks | undefined,
  ): Promise<void> {
    const userMessageId = newId()
    await messages.insertTurn({
      conversationId: opened.id,
      userId,
      userMessageId,
      answerId,
      position: opened.position,
      content: opened.vault.sealContent(userMessageId, [{ type: 'text', text: input.message }]),
      tokenCount: estimateTokens(input.message),
      model: opened.model.id,
      idempotencyHash: marks?.hash ?? null,
      requestFingerprint: marks?.fingerprint ?? null,
      replicaId: this.#deps.replicaId,
      leaseSeconds: this.#deps.leaseSeconds,
    })
  }
}

function openContent(
  vault: ConversationVault,
  row: { id: string; content: Buffer | null },
): ContentBlock[] {
  return row.content === null ? [] : vault.openContent(row.id, row.content)
}

function historyTokens(opened: Opened, message: string, maxTokens: number): number {
  const windowTokens = opened.model.info?.contextTokens ?? UNKNOWN_MODEL_WINDOW_TOKENS
  const answerTokens = Math.min(maxTokens, opened.model.info?.maxOutputTokens ?? maxTokens)
  const fixed = estimateTokens(opened.systemPrompt ?? '') + estimateTokens(message)
  return windowTokens * WINDOW_SHARE - answerTokens - fixed
}

function sealAnswer({ vault, answerId }: BegunTurn, outcome: ClaudeOutcome): Buffer | null {
  if (outcome.status === 'refused' || outcome.content.length === 0) return null
  return vault.sealContent(answerId, outcome.content)
}

const closedMeanwhile = () =>
  new AppError(
    'interrupted',
    'The connection to the database was lost for too long and this answer was given up. Send again.',
  )
